/**
 * The one way to become master: at start, after a gap in the lease, after a failure. This file: who goes first, and the
 * votes. freeze.ts goes on once a majority is held, promotion.ts once nothing can be missing.
 *
 *   gather -> vote -> freeze -> (fencing-command) -> promote -> epoch -> establish -> names -> master
 *                \-> catch-up -/            claim: no promote; with all votes and nothing newer: straight to master
 */

import type { KeeperEvent } from './events.js';
import { ballotOf } from './following.js';
import { ingestFreeze, walkCatchUp, walkFreeze } from './freeze.js';
import { heldVoters, isGivenUpBy, neededVotes, ownYouthMs, releaseVotes, tryVotes } from './lease.js';
import { linkOf, masterLink, observe, ownLink, seenSince, votersOf } from './links.js';
import { enterStandby, retire } from './own-server.js';
import { ingestPromotion, walkPromotion } from './promotion.js';
import { candidateOf, compareWal, describeRanking, isComparable, logEndOf, rank } from './ranking.js';
import type { Arrived, Election, ElectionPhase, Keeper, Link } from './state.js';
import { due, isIdle, note, randomBetween, send, type Turn, wake } from './turn.js';
import { failoverTimeMs, holdNames, pollDeadlineMs, type Registry } from './types.js';

/** How long a lower-ranked candidate lets each better one go first: an undisturbed election takes about half of it. */
const rankDelayMs = 250;
/** How long to try for votes that a dying worker is about to give back. */
const voteBoundMs = 400;

export function startElection(
  k: Keeper,
  turn: Turn,
  cause: Election['cause'],
  claimSince: number | null,
  readSince: number,
  fast = false,
): void {
  const giveUpAt = claimSince === null ? null : claimSince + failoverTimeMs(k.settings);
  k.role = {
    kind: 'electing',
    cause,
    fast,
    phase: 'gather',
    startedAt: readSince,
    phaseAt: k.now,
    since: k.now,
    giveUpAt,
    round: 0,
    pauseUntil: k.now,
    oldMaster: k.registry?.master ?? null,
    epoch: 0,
    keepEpoch: false,
    frozen: new Set(),
    balloted: new Set(),
    aheadOf: null,
    file: null,
    wishRead: false,
    hookAsked: false,
    renewedFor: 0,
    sent: new Set(),
    writtenLsn: null,
    sync: null,
    blocked: null,
    marks: new Map(),
  };
  wake(k, turn, k.now);
}

export function enterPhase(k: Keeper, e: Election, phase: ElectionPhase): void {
  e.marks.set(e.phase, Math.round(k.now - e.since));
  e.phase = phase;
  e.phaseAt = k.now;
  e.sent.clear();
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
  holdMeanwhile(k, turn);
  e.pauseUntil = k.now + pauseMs;
  e.startedAt = k.now + pauseMs;
  e.round += 1;
}

/** A claim that did not succeed at once: until it does, this server acknowledges nothing. */
function holdMeanwhile(k: Keeper, turn: Turn): void {
  const own = ownLink(k);
  if (own.obs === null || own.obs.inRecovery || own.obs.names === holdNames) return;
  send(k, turn, own, { kind: 'set-names', names: holdNames });
}

/** A claim that cannot succeed: the server may not stay writable. */
export function failClaim(k: Keeper, turn: Turn, why: string): void {
  note(k, turn, 'claim-failed', { why });
  releaseVotes(k, turn);
  retire(k, turn);
}

export function decideElection(k: Keeper, turn: Turn, e: Election): void {
  const own = ownLink(k);
  if (own.session !== 'open' && ownServerGone(k, turn, e, own)) return;
  if (e.giveUpAt !== null && isUndecided(e) && due(k, turn, e.giveUpAt))
    return failClaim(k, turn, 'no majority of votes in time');
  switch (e.phase) {
    case 'gather':
      return walkGather(k, turn, e);
    case 'vote':
      return walkVote(k, turn, e);
    case 'catch-up':
      return walkCatchUp(k, turn, e);
    case 'freeze':
      return walkFreeze(k, turn, e);
    default:
      return walkPromotion(k, turn, e);
  }
}

function isUndecided(e: Election): boolean {
  return e.phase === 'gather' || e.phase === 'vote' || e.phase === 'catch-up' || e.phase === 'freeze';
}

/** The own server died under the election. After pg_promote was sent the only way is fencing. */
function ownServerGone(k: Keeper, turn: Turn, e: Election, own: Link): boolean {
  // Ended by this worker itself, to give a vote back.
  if (own.failure === null) return true;
  const mayBeWritable =
    e.cause === 'claim' ||
    e.sent.has('promote') ||
    e.phase === 'epoch' ||
    e.phase === 'establish' ||
    e.phase === 'names';
  note(k, turn, 'election-aborted', { why: `the own server ended the session (${own.detail})` });
  releaseVotes(k, turn);
  k.brokenElections += 1;
  k.role = {
    kind: 'down',
    wasMaster: mayBeWritable,
    since: k.now,
    server: 'unknown',
    retryAt: k.now,
    tries: 0,
  };
  if (e.sent.has('promote')) retire(k, turn);
  else turn.effects.push({ kind: 'inspect-server' });
  return true;
}

/** Reads everybody reachable, then decides whether to go first. */
function walkGather(k: Keeper, turn: Turn, e: Election): void {
  if (!due(k, turn, e.pauseUntil)) return;
  const voters = votersOf(k);
  let waiting = false;
  for (const voter of voters) {
    const link = linkOf(k, voter.name);
    if (link === undefined || seenSince(link, e.startedAt)) continue;
    if (link.session === 'open' && isIdle(link)) send(k, turn, link, { kind: 'observe' });
    if (link.session === 'open' || voter.name === k.settings.name) waiting = true;
  }
  if (waiting && !due(k, turn, e.phaseAt + pollDeadlineMs(k.settings))) return;
  const reachable = voters.filter((voter) => {
    const link = linkOf(k, voter.name);
    return link !== undefined && seenSince(link, e.startedAt);
  });
  const registry = k.registry;
  if (registry === null || !seenSince(ownLink(k), e.startedAt))
    return abandon(k, turn, e, randomBetween(k, 50, 150));
  const needed = neededVotes(k);
  if (reachable.length < needed) {
    if (e.round === 0)
      note(k, turn, 'no-majority', { reachable: reachable.length, voters: voters.length, needed });
    return abandon(k, turn, e, randomBetween(k, 200, 500));
  }
  // Without the own vote there is nothing to win: the others' votes are left alone until then.
  const youthMs = e.cause === 'failover' ? ownYouthMs(k) : 0;
  if (youthMs > 0) return abandon(k, turn, e, youthMs);
  const other = writableElsewhere(k, e, registry);
  if (other !== null) return newerMaster(k, turn, e, other, registry);
  if (e.cause === 'claim' && registry.master !== k.settings.name) {
    return failClaim(k, turn, `${registry.master ?? 'nobody'} is master of epoch ${registry.epoch}`);
  }
  if (e.cause === 'failover' && !goesFirst(k, turn, e, registry)) return;
  enterPhase(k, e, 'vote');
  walkVote(k, turn, e);
}

/** Somebody else writable with the newest epoch (an older one does not count). */
function writableElsewhere(k: Keeper, e: Election, registry: Registry): string | null {
  for (const link of k.links.values()) {
    if (link.voter === k.settings.name || link.obs === null || !seenSince(link, e.startedAt)) continue;
    if (link.obs.inRecovery || link.obs.registry?.epoch !== registry.epoch) continue;
    if (registry.master === link.voter) return link.voter;
  }
  return null;
}

function newerMaster(k: Keeper, turn: Turn, e: Election, master: string, registry: Registry): void {
  if (e.cause === 'claim') return failClaim(k, turn, `${master} is master of epoch ${registry.epoch}`);
  note(k, turn, 'newer-master', { master, epoch: registry.epoch });
  abandon(k, turn, e, 0);
}

/** True when no better candidate has to be waited for any longer. */
function goesFirst(k: Keeper, turn: Turn, e: Election, registry: Registry): boolean {
  const candidates = votersOf(k).flatMap((voter) => {
    const link = linkOf(k, voter.name);
    if (link?.obs === undefined || link.obs === null || !seenSince(link, e.startedAt)) return [];
    const candidate = candidateOf(voter, link.obs, registry);
    return candidate === null ? [] : [candidate];
  });
  const ranking = rank(candidates, registry.master === null ? null : preferredOf(registry));
  const place = ranking.findIndex((candidate) => candidate.name === k.settings.name);
  const text = describeRanking(ranking);
  if (place < 0) {
    note(k, turn, 'election-aborted', { why: `this node is no candidate: ${text}` });
    abandon(k, turn, e, k.settings.keepaliveTimeMs);
    return false;
  }
  if (place === 0) {
    note(k, turn, 'election-first', { ranking: text });
    return true;
  }
  const waitMs = place * rankDelayMs;
  if (!e.sent.has('waited')) {
    e.sent.add('waited');
    note(k, turn, 'election-waits', { first: ranking[0]?.name ?? '-', waitMs, ranking: text });
  }
  // Looking again meanwhile: the better one may be master by then.
  if (due(k, turn, e.since + waitMs)) return true;
  for (const link of k.links.values()) observe(k, turn, link, 50);
  return false;
}

/** First of the wished names that is a node: the next master by the original's rule. */
function preferredOf(registry: Registry): string | null {
  return registry.syncMembers.find((name) => name !== registry.master) ?? null;
}

function walkVote(k: Keeper, turn: Turn, e: Election): void {
  const voters = votersOf(k);
  const claim = e.cause === 'claim';
  // Waiting under hold for nodes that are to be copied from here: their votes are left to their own workers.
  const patient = claim && e.giveUpAt === null;
  const asked = voters.filter(({ name }) => {
    const obs = linkOf(k, name)?.obs;
    return !patient || name === k.settings.name || !(obs?.inRecovery === true && obs.fenced);
  });
  tryVotes(k, turn, asked, claim ? 50 : 8);
  const needed = neededVotes(k);
  const held = heldVoters(k);
  // The looks that the freeze needs, while the other votes are still on their way.
  for (const voter of held) {
    const link = linkOf(k, voter.name);
    if (link !== undefined && !isFresh(e, link)) observe(k, turn, link, 0);
  }
  const tookMs = Math.round(k.now - e.phaseAt);
  const ownHeld = held.some((voter) => voter.name === k.settings.name);
  if (ownHeld && held.length >= needed) {
    const undecided = asked.filter((voter) => {
      const link = linkOf(k, voter.name);
      return (
        link !== undefined && link.session === 'open' && link.vote === null && link.refusedAt < e.phaseAt
      );
    });
    if (undecided.length > 0 && !due(k, turn, e.phaseAt + 100)) return;
    note(k, turn, 'votes-held', { held: held.length, voters: voters.length, needed, tookMs });
    const silentAt = (masterLink(k)?.lastAlive ?? k.now) + failoverTimeMs(k.settings);
    if (k.now < silentAt && leaseMayRun(k, e)) {
      note(k, turn, 'election-aborted', { why: `the lease of ${e.oldMaster} may still run; waiting for T` });
      return abandon(k, turn, e, silentAt - k.now);
    }
    enterPhase(k, e, 'freeze');
    return walkFreeze(k, turn, e);
  }
  if (due(k, turn, e.phaseAt + voteBoundMs)) {
    const pauseMs = Math.round(randomBetween(k, 50, 250));
    if (e.round < 2) note(k, turn, 'votes-refused', { held: held.length, needed, tookMs, pauseMs });
    abandon(k, turn, e, pauseMs);
  }
}

/**
 * With sync on, what the former master acknowledges needs nodes that follow this one by then. With sync off only its
 * lease stops it, and before T that may still run: a fast election needs to know that it was given up.
 */
function leaseMayRun(k: Keeper, e: Election): boolean {
  const { registry } = k;
  if (!e.fast || e.oldMaster === null || registry === null || registry.syncNeeded > 0) return false;
  return !isGivenUpBy(k, e.oldMaster);
}

/**
 * The epoch to fight for: above every ballot and every row of the held voters, by looks taken after their votes were.
 * True when a claim need not fight: all votes held, nothing newer anywhere.
 */
export function chooseEpoch(k: Keeper, e: Election): boolean {
  const { registry } = k;
  const held = heldVoters(k);
  const seen = held.map((voter) => {
    const obs = linkOf(k, voter.name)?.obs;
    return obs ? Math.max(ballotOf(obs.primaryConninfo), obs.registry?.epoch ?? 0) : 0;
  });
  const known = registry?.epoch ?? 0;
  e.epoch = Math.max(known, ...seen) + 1;
  e.keepEpoch =
    e.cause === 'claim' &&
    registry?.master === k.settings.name &&
    ownLink(k).obs?.registry?.epoch === known &&
    e.epoch === known + 1 &&
    held.length === votersOf(k).length &&
    // What is held back has to be let go by the way that ends with the names.
    ((registry?.syncWished ?? 0) > 0 || ownLink(k).obs?.names !== holdNames);
  return e.keepEpoch;
}

/** Is what is known of that voter of this round, and asked for since its vote is held? Before, others could change it. */
export function isFresh(e: Election, link: Link): boolean {
  return link.vote !== null && seenSince(link, Math.max(link.vote.grantedAt, e.startedAt));
}

/** A held node that has more than this one, by looks taken while its vote is held. */
export function nodeAhead(k: Keeper, e: Election): Link | null {
  const ours = ownLink(k).obs;
  if (ours === null) return null;
  for (const voter of heldVoters(k)) {
    const link = linkOf(k, voter.name);
    if (voter.kind !== 'node' || voter.name === k.settings.name) continue;
    if (!link?.obs || !isFresh(e, link) || !isComparable(link.obs, ours)) continue;
    // A writable server moves on: only what it flushed after the other's answer can be compared.
    if (e.cause === 'claim' && ownLink(k).obsAt < link.obsDoneAt) continue;
    if (compareWal(logEndOf(link.obs), logEndOf(ours)) > 0) return link;
  }
  return null;
}

export function ingestElection(
  k: Keeper,
  turn: Turn,
  e: Election,
  event: KeeperEvent,
  arrived: Arrived | null,
): void {
  if (arrived !== null && e.phase === 'freeze') ingestFreeze(k, e, arrived);
  ingestPromotion(k, turn, e, event, arrived);
}

/**
 * Promoted, and the epoch cannot be put on a majority: commits wait, so this server hurts nobody while it asks again
 * without a bound. The others may be copied from it meanwhile; a newer epoch ends it.
 */
export function waitUnderHold(k: Keeper, turn: Turn): void {
  releaseVotes(k, turn);
  startElection(k, turn, 'claim', null, k.now);
  if (k.role.kind === 'electing') k.role.round = 2;
}

/** A master whose lease lapsed while sync is on: hold, end sessions, ask again for a bounded time. */
export function enterReclaim(k: Keeper, turn: Turn, lapsedAt: number): void {
  startElection(k, turn, 'claim', lapsedAt - k.settings.leaseTtlMs, k.now);
  const own = ownLink(k);
  if (k.role.kind === 'electing') k.role.round = 1;
  if (!send(k, turn, own, { kind: 'set-names', names: holdNames })) wake(k, turn, k.now + 5);
}
