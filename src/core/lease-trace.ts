/**
 * What a standby sees of the master's lease from outside: the session of the master's worker on each voter, and how long it
 * has been silent there. With sync off only that lease stops an old master, so the last trace of it counts like a sight of
 * the master itself.
 */
import type { Keeper, Link } from './state.js';
import type { Observation } from './types.js';

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
    link.trace = { master, saidAt };
    k.seenByPeerAt = Math.max(k.seenByPeerAt, saidAt);
    return;
  }
  const { trace } = link;
  link.trace = null;
  // Ended before it had been silent for the lease: cut, and the worker may have been answered until a moment ago.
  if (trace?.master === master && k.now < trace.saidAt + k.settings.leaseTtlMs)
    k.seenByPeerAt = Math.max(k.seenByPeerAt, k.now);
}
