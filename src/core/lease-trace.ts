/**
 * What a standby sees of the master's lease from outside: the session of the master's worker on each voter, and how long it
 * has been silent there. With sync off only that lease stops an old master, so the last trace of it counts like a sight of
 * the master itself.
 */
import type { Keeper, Link } from './state.js';
import { leaseMarginMs, type Observation } from './types.js';

/** Until when something was said on that voter of which this worker may have seen nothing. */
export function missedOn(k: Keeper, link: Link): number {
  return isLongAgo(k, link) ? k.now : link.missedUntil;
}

function isLongAgo(k: Keeper, link: Link): boolean {
  return k.now - link.obsDoneAt > closeLooks * k.settings.leaseTtlMs;
}

/** Of lease_ttl: what was said on a voter between two looks as close as that, and the end of its session, is not missed. */
const closeLooks = 0.6;

/**
 * Every worker looks at every voter all the while: where its session is seen, or was until just now, that worker lives, whether or
 * not its server can be reached from here. Where this worker could not look for longer it has missed what was said there.
 */
export function noteWorkers(k: Keeper, link: Link, now: Observation, askedAt: number): void {
  const before = link.obs;
  if (isLongAgo(k, link)) link.missedUntil = k.now;
  for (const { name, silentMs } of now.workers) seeWorker(k, name, askedAt - Math.max(0, silentMs));
  for (const { name } of before?.workers ?? [])
    if (!now.workers.some((worker) => worker.name === name)) seeWorker(k, name, k.now);
}

function seeWorker(k: Keeper, name: string, at: number): void {
  if (at > (k.workersSeenAt.get(name) ?? Number.NEGATIVE_INFINITY)) k.workersSeenAt.set(name, at);
}

/** Takes in a look at a voter: is the master's worker there, and when did it last say something? */
export function followTrace(k: Keeper, link: Link, askedAt: number): void {
  const master = k.registry?.master;
  if (link.obs === null || master === undefined || master === null || link.voter === master) return;
  if (master === k.settings.name) return;
  const session = link.obs.workers.find(({ name }) => name === master);
  if (session !== undefined) {
    const saidAt = askedAt - Math.max(0, session.silentMs);
    link.trace = { master, saidAt, seenAt: askedAt };
    k.seenByPeerAt = Math.max(k.seenByPeerAt, saidAt);
    return;
  }
  const { trace } = link;
  link.trace = null;
  if (trace?.master !== master) return;
  const endsAt = trace.saidAt + k.settings.leaseTtlMs;
  // Ended in silence, as a look showed before; else cut, and the worker may have been answered until a moment ago.
  if (k.now >= endsAt && trace.seenAt >= lastWordAt(k, trace.saidAt)) return;
  k.seenByPeerAt = Math.max(k.seenByPeerAt, Math.min(k.now, endsAt));
}

/** A worker that has said nothing for so long takes its vote for lost, and never says anything in that session again. */
function lastWordAt({ settings }: Keeper, saidAt: number): number {
  return saidAt + settings.leaseTtlMs - leaseMarginMs(settings);
}

/**
 * When to look once more at a voter where the master's session is silent: after the last possible word, and before the session ends
 * by itself. Without that look nothing would tell how it ended, and T would be counted from then. Null = there is no need.
 */
export function lastLookAt(k: Keeper, { trace }: Link): number | null {
  // Of a master before nothing is noted any more.
  if (trace === null || trace.master !== k.registry?.master) return null;
  const at = lastWordAt(k, trace.saidAt);
  return trace.seenAt < at ? at : null;
}
