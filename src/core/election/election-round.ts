/** One round of an election: how it begins, changes its phase, is given up, and what of it may be believed. */

import { linkOf, ownLink, seenSince } from '../links.js';
import { enterStandby, retire } from '../own-server/own-server.js';
import type { Election, ElectionPhase, Keeper, Link } from '../state.js';
import { note, send, type Turn, wake } from '../turn.js';
import { failoverTimeMs, holdNames, type Registry, type Voter } from '../types.js';
import { releaseVotes } from '../votes/lease.js';
import { isPointedAt } from '../watch/following.js';
import { streamsFrom } from '../watch/suspicion.js';

export function startElection(
  k: Keeper,
  turn: Turn,
  cause: Election['cause'],
  claimSince: number | null,
  readSince: number,
): void {
  const giveUpAt = claimSince === null ? null : claimSince + failoverTimeMs(k.settings);
  k.role = {
    kind: 'electing',
    cause,
    phase: 'gather',
    startedAt: readSince,
    phaseAt: k.now,
    since: k.now,
    giveUpAt,
    round: 0,
    pauseUntil: k.now,
    oldMaster: k.registry?.master ?? null,
    baseEpoch: k.registry?.epoch ?? 0,
    epoch: 0,
    keepEpoch: false,
    frozen: new Set(),
    balloted: new Set(),
    aheadOf: null,
    file: null,
    wishRead: false,
    hookAsked: false,
    byOperator: false,
    lossAccepted: false,
    holdProven: false,
    leaseIsOver: false,
    rivalsUntil: Number.NEGATIVE_INFINITY,
    renewedFor: 0,
    sent: new Set(),
    writtenLsn: null,
    sync: null,
    blocked: null,
    marks: new Map(),
  };
  k.leads = false;
  wake(k, turn, k.now);
}

export function enterPhase(k: Keeper, e: Election, phase: ElectionPhase): void {
  e.marks.set(e.phase, Math.round(k.now - e.since));
  e.phase = phase;
  e.phaseAt = k.now;
  e.sent.clear();
}

/** Nothing was promoted or written for it yet. */
export function isUndecided(e: Election): boolean {
  return e.phase === 'gather' || e.phase === 'vote' || e.phase === 'catch-up' || e.phase === 'freeze';
}

/** Gives everything back. A failover goes back to watching; a claim tries again until its time is up. */
export function abandon(
  k: Keeper,
  turn: Turn,
  e: Election,
  pauseMs: number,
  blocked: string | null = null,
): void {
  releaseVotes(k, turn);
  if (e.cause === 'failover') {
    enterStandby(k, k.now + pauseMs);
    if (k.role.kind === 'standby') k.role.blocked = blocked;
    wake(k, turn, k.now + pauseMs);
    return;
  }
  enterPhase(k, e, 'gather');
  // What was frozen or marked in this round was so under votes that are given back now.
  e.frozen.clear();
  e.balloted.clear();
  e.epoch = 0;
  e.pauseUntil = k.now + pauseMs;
  e.startedAt = k.now + pauseMs;
  e.round += 1;
  wake(k, turn, e.pauseUntil);
}

/** A claim that did not succeed at once, or follows a lapse: until it succeeds this server acknowledges nothing. */
export function holdMeanwhile(k: Keeper, turn: Turn): void {
  const own = ownLink(k);
  if (own.obs === null || own.obs.inRecovery || own.obs.names === holdNames) return;
  if (!send(k, turn, own, { kind: 'set-names', names: holdNames })) wake(k, turn, k.now + 5);
}

/** A claim that cannot succeed: the server may not stay writable. Its votes go when it is dead, not before. */
export function failClaim(k: Keeper, turn: Turn, why: string): void {
  note(k, turn, 'claim-failed', { why });
  retire(k, turn);
}

/** Is what is known of that voter of this round, and asked for since its vote is held? Before, others could change it. */
export function isFresh(e: Election, link: Link): boolean {
  return link.vote !== null && seenSince(link, Math.max(link.vote.grantedAt, e.startedAt));
}

/**
 * Promoted, and the epoch cannot be put on a majority: commits wait, so this server hurts nobody while it asks again
 * without a bound. The others may be copied from it meanwhile; a newer epoch ends it.
 */
export function waitUnderHold(k: Keeper, turn: Turn, pauseMs = 0): void {
  releaseVotes(k, turn);
  startElection(k, turn, 'claim', null, k.now);
  if (k.role.kind !== 'electing') return;
  k.role.round = 2;
  k.role.pauseUntil = k.now + pauseMs;
  k.role.startedAt = k.role.pauseUntil;
  wake(k, turn, k.role.pauseUntil);
}

/** A master whose lease lapsed while sync is on: hold, end sessions, ask again for a bounded time. */
export function enterReclaim(k: Keeper, turn: Turn, lapsedAt: number): void {
  startElection(k, turn, 'claim', lapsedAt - k.settings.leaseTtlMs, k.now);
  if (k.role.kind === 'electing') k.role.round = 1;
  holdMeanwhile(k, turn);
}

/** Positive evidence only: a WAL receiver that streams from this node, under this ballot. */
export function isFrozen(link: Link, self: Voter, epoch: number): boolean {
  const { obs } = link;
  return obs !== null && isPointedAt(obs, self) && obs.ballot === epoch && streamsFrom(obs, self);
}

/** The newest epoch's master with its data: frozen behind this node, or this node itself. */
export function formerMasterIsHere(
  k: Keeper,
  e: Election,
  registry: Registry,
  here: ReadonlySet<string>,
): boolean {
  if (registry.master === null || !here.has(registry.master)) return false;
  const obs = linkOf(k, registry.master)?.obs;
  const isSelf = registry.master === k.settings.name;
  if (!obs || obs.registry?.epoch !== registry.epoch) return false;
  return isSelf ? e.cause === 'claim' || obs.readToEnd : obs.inRecovery && obs.readToEnd;
}
