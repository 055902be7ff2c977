/**
 * The kept sessions: one to every voter, open at all times so that a full server cannot keep this worker out. When to
 * open, when to look (heartbeat), what counts as a sign of life. No role logic.
 */
import type { Awaited } from './effects.js';
import type { KeeperEvent } from './events.js';
import { foreignReason, isForeign, witnessKeyOf } from './foreign-server.js';
import { followTrace, noteWorkers } from './lease-trace.js';
import { newLink } from './new-keeper.js';
import { isRowless } from './ranking.js';
import type { Arrived, Keeper, Link } from './state.js';
import { due, isIdle, note, send, type Turn } from './turn.js';
import {
  compareRegistry,
  isSignOfLife,
  type Observation,
  pollDeadlineMs,
  type Registry,
  type Voter,
} from './types.js';

export function linkOf(k: Keeper, name: string): Link | undefined {
  return k.links.get(name);
}

export function ownLink(k: Keeper): Link {
  return k.own;
}

export function masterLink(k: Keeper): Link | undefined {
  const master = k.registry?.master;
  return master === null || master === undefined ? undefined : k.links.get(master);
}

/** A node seen writable with the newest epoch: the master to come back to. */
export function livingMaster(k: Keeper): Link | undefined {
  const link = masterLink(k);
  if (link === undefined || link.voter === k.settings.name || link.session !== 'open' || link.obs === null)
    return undefined;
  const { inRecovery, registry } = link.obs;
  const usable = !inRecovery && registry?.epoch === k.registry?.epoch && !isRowless(link.obs);
  return usable ? link : undefined;
}

/** Voters in force. */
export function votersOf(k: Keeper): readonly Voter[] {
  return k.registry?.voters ?? [];
}

/** Made once for each registry row, which is never changed: asked for many times in every step. */
const everybodyOf = new WeakMap<Registry, ReadonlyMap<string, Voter>>();

/** Voters in force and nodes that ask to become one: everybody this worker talks to. */
export function everybody(registry: Registry | null): ReadonlyMap<string, Voter> {
  const known = registry === null ? undefined : everybodyOf.get(registry);
  if (known !== undefined) return known;
  const all = new Map<string, Voter>();
  for (const voter of registry?.voters ?? []) all.set(voter.name, voter);
  for (const node of registry?.nodes ?? []) if (!all.has(node.name)) all.set(node.name, node);
  if (registry !== null) everybodyOf.set(registry, all);
  return all;
}

export function voterNamed(k: Keeper, name: string): Voter | undefined {
  return everybody(k.registry).get(name);
}

/** Links follow the registry: new voters get one, removed ones lose theirs. The own one always stays. */
export function matchLinks(k: Keeper, turn: Turn): void {
  if (k.linksMatch === k.registry) return;
  k.linksMatch = k.registry;
  const all = everybody(k.registry);
  for (const voter of all.values()) {
    let link = k.links.get(voter.name);
    if (link === undefined) {
      link = newLink(voter.name, k.now);
      k.links.set(voter.name, link);
    }
    const own = voter.name === k.settings.name;
    const witness = witnessKeyOf(k.registry, voter);
    const isOther = link.witness?.token !== witness?.token;
    if (link.database !== voter.database || isOther || (!own && link.conninfo !== voter.conninfo)) {
      const wasKnown = link.database !== null;
      link.database = voter.database;
      link.witness = witness;
      if (isOther) link.obs = null;
      if (!own) link.conninfo = voter.conninfo;
      if (wasKnown || own) endSession(k, turn, link);
    }
  }
  for (const link of k.links.values()) {
    if (link.voter === k.settings.name || all.has(link.voter)) continue;
    endSession(k, turn, link);
    k.links.delete(link.voter);
  }
}

/** Ends a session from this side; its vote is gone with it. */
export function endSession(k: Keeper, turn: Turn, link: Link): void {
  if (link.session === 'none') return;
  turn.effects.push({ kind: 'close', voter: link.voter });
  // A new attempt number makes late news of the old session recognisable.
  link.attempt += 1;
  link.session = 'none';
  link.busy = null;
  link.vote = null;
  link.lastHeldAt = Number.NEGATIVE_INFINITY;
  link.retryAt = k.now;
}

/** Pause between attempts: short when the other side answers at once, half an interval when it is silent. */
function retryPauseMs(k: Keeper, link: Link): number {
  const { keepaliveTimeMs } = k.settings;
  if (link.failure === 'foreign') return keepaliveTimeMs;
  // A dying server may reset one more connection before it refuses: the evidence must not wait for long.
  if (link.failure === 'cut' && k.now - link.cutAt < 1000) return 10;
  if (link.failure === 'timeout' || link.failure === 'unreachable') return Math.min(500, keepaliveTimeMs / 4);
  if (k.role.kind === 'electing' || (k.role.kind === 'standby' && k.role.suspicion !== null)) return 20;
  return Math.min(250, keepaliveTimeMs / 4);
}

export function openLinks(k: Keeper, turn: Turn): void {
  for (const link of k.links.values()) {
    if (link.session === 'opening' && due(k, turn, link.openingSince + openingBoundMs(k)))
      giveUpOpening(k, turn, link);
    if (link.session !== 'none') continue;
    if (!due(k, turn, link.retryAt)) continue;
    link.session = 'opening';
    link.attempt += 1;
    link.openingSince = k.now;
    const { voter, conninfo, database, attempt, witness } = link;
    turn.effects.push({
      kind: 'open',
      voter,
      conninfo: voter === k.settings.name ? null : conninfo,
      database,
      attempt,
      witness,
    });
  }
}

/** Longer than any attempt should take: each of its parts has a deadline of its own. */
function openingBoundMs(k: Keeper): number {
  return 4 * pollDeadlineMs(k.settings) + 1000;
}

function giveUpOpening(k: Keeper, turn: Turn, link: Link): void {
  const { voter, attempt } = link;
  turn.effects.push({ kind: 'close', voter });
  lost(k, turn, link, {
    kind: 'session-lost',
    voter,
    attempt,
    failure: 'timeout',
    detail: 'the connection never got ready',
  });
  link.attempt += 1;
}

/** Looks at a server when the last look is `everyMs` old. */
export function observe(k: Keeper, turn: Turn, link: Link, everyMs: number, wait?: Awaited): void {
  if (link.session !== 'open' || !due(k, turn, link.obsAt + everyMs)) return;
  if (isIdle(link)) send(k, turn, link, wait === undefined ? { kind: 'observe' } : { kind: 'observe', wait });
}

/** Is what we know of that server asked for after `since`? */
export function seenSince(link: Link, since: number): boolean {
  return link.session === 'open' && link.obs !== null && link.obsAt >= since;
}

/** Interval of looks such that an answered look is never older than keepalive_time, and none misses a lease (lease-trace.ts). */
export function heartbeatMs({ settings }: Keeper): number {
  const { keepaliveTimeMs: timeMs, leaseTtlMs } = settings;
  return Math.min(leaseTtlMs * 0.4, Math.max(timeMs - pollDeadlineMs(settings), timeMs / 2));
}

function signOfLife(link: Link, at: number): void {
  link.lastAlive = Math.max(link.lastAlive, at);
  link.misses = 0;
}

function lost(
  k: Keeper,
  turn: Turn,
  link: Link,
  event: Extract<KeeperEvent, { kind: 'session-lost' }>,
): void {
  const wasOpen = link.session === 'open';
  const before = link.failure;
  if (wasOpen) link.lastHeldAt = link.vote?.renewedAt ?? Number.NEGATIVE_INFINITY;
  link.session = 'none';
  link.busy = null;
  link.vote = null;
  link.failure = event.failure;
  link.detail = event.detail;
  link.failedAt = k.now;
  if (wasOpen) {
    link.cut = event.failure;
    link.cutAt = k.now;
  }
  // The first attempt after a cut comes at once: its refusal is the evidence a fast failover needs.
  link.retryAt = wasOpen && event.failure !== 'timeout' ? k.now : k.now + retryPauseMs(k, link);
  const starting = event.failure === 'starting-up' || event.failure === 'shutting-down';
  if (!starting) link.startingSince = null;
  else link.startingSince ??= k.now;
  if (
    isSignOfLife(event.failure) &&
    (link.startingSince === null || k.now - link.startingSince < k.settings.startupGraceMs)
  ) {
    signOfLife(link, k.now);
  } else {
    link.misses += 1;
  }
  if (wasOpen && before === null && link.voter !== k.settings.name) {
    note(k, turn, 'node-lost', { voter: link.voter, failure: event.failure, detail: event.detail });
  }
}

function adopt(k: Keeper, registry: Registry): void {
  if (k.registry === null || compareRegistry(registry, k.registry) > 0) k.registry = registry;
}

function leaveForeign(k: Keeper, turn: Turn, link: Link, obs: Observation): void {
  const { code, details } = foreignReason(link.voter, link.witness !== null, obs);
  const said = JSON.stringify(details);
  if (link.saidForeign !== said) note(k, turn, code, details);
  link.saidForeign = said;
  endSession(k, turn, link);
  link.failure = 'foreign';
  link.obs = null;
  link.retryAt = k.now + retryPauseMs(k, link);
}

/** Takes in what concerns sessions; returns the answer for the role to look at, if it was one. */
export function ingestLink(k: Keeper, turn: Turn, event: KeeperEvent): Arrived | null {
  if (event.kind !== 'session-opened' && event.kind !== 'session-lost' && event.kind !== 'answer')
    return null;
  const link = k.links.get(event.voter);
  if (link === undefined) return null;
  if (event.kind === 'session-opened') {
    if (event.attempt !== link.attempt) return null;
    const wasLost = link.failure !== null && link.obs !== null;
    // The first attempt after the cut succeeds: that server was not down, and others may have had its vote meanwhile.
    if (link.failedAt === link.cutAt) link.lastHeldAt = Number.NEGATIVE_INFINITY;
    link.session = 'open';
    link.openedAt = k.now;
    link.failure = null;
    link.startingSince = null;
    link.obsAt = Number.NEGATIVE_INFINITY;
    signOfLife(link, link.openingSince);
    if (wasLost && link.voter !== k.settings.name) note(k, turn, 'node-back', { voter: link.voter });
    return null;
  }
  if (event.kind === 'session-lost') {
    if (event.attempt === link.attempt) lost(k, turn, link, event);
    return null;
  }
  if (link.busy === null || link.busy.id !== event.id) return null;
  const { command, sentAt } = link.busy;
  link.busy = null;
  signOfLife(link, sentAt);
  // Any answered statement on the session restarts idle_session_timeout on the voter: it renews.
  if (link.vote !== null) link.vote.renewedAt = Math.max(link.vote.renewedAt, sentAt);
  if (event.answer.kind === 'observed') {
    const { observation } = event.answer;
    const voter = voterNamed(k, link.voter);
    if (k.registry !== null && voter !== undefined && isForeign(k.registry, voter, observation)) {
      leaveForeign(k, turn, link, observation);
      return null;
    }
    link.saidForeign = null;
    noteWorkers(k, link, observation, sentAt);
    link.obs = observation;
    link.obsAt = sentAt;
    link.obsDoneAt = k.now;
    followTrace(k, link, sentAt);
    if (observation.registry !== null) adopt(k, observation.registry);
    const known = k.registry;
    if (
      known !== null &&
      known.master === link.voter &&
      !observation.inRecovery &&
      observation.registry?.epoch === known.epoch
    ) {
      k.seenMasterEpoch = known.epoch;
      k.seenMasterAt = sentAt;
      k.brokenElections = 0;
    }
  }
  // Answered once the session itself shows them: a look before would have them set again and again.
  if (command.kind === 'set-names' && command.names !== null && link.obs !== null)
    link.obs = { ...link.obs, names: command.names };
  if (event.answer.kind === 'written') adopt(k, event.answer.registry);
  return { voter: event.voter, command, sentAt, answer: event.answer };
}
