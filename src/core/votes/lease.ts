/**
 * Votes and the lease. A vote is an advisory lock in a session; it is good, by this worker's own monotonic clock,
 * until its last answered renewal was sent + lease_ttl - margin. The lease is a majority of good votes.
 */
import { missedOn } from '../lease-trace.js';
import { endSession, linkOf, observe, votersOf } from '../links.js';
import type { Arrived, Keeper, Link } from '../state.js';
import { due, isIdle, send, type Turn, wake } from '../turn.js';
import { failoverTimeMs, leaseMarginMs, type Voter } from '../types.js';

/** floor(V/2)+1; with two nodes alone and quorum = auto: 1, which keeps no guarantee (protocol section 6). */
export function majorityOf(voters: readonly Voter[], quorum: 'auto' | 'strict'): number {
  if (quorum === 'auto' && voters.length === 2 && voters.every((voter) => voter.kind === 'node')) return 1;
  return Math.floor(voters.length / 2) + 1;
}

/** The voters are those that an operator's word goes on with. */
export function isForced(k: Keeper): boolean {
  return k.forced !== null && k.registry === k.forced.forced;
}

export function neededVotes(k: Keeper): number {
  // Of voters that were given up two may be left: each of them may have been lent the word.
  if (isForced(k)) return majorityOf(votersOf(k), 'strict');
  // A witness that is to be replaced: two nodes for a moment only, and no moment without guarantees.
  const hasWitness = k.registry?.nodes.some(({ kind }) => kind === 'witness') === true;
  return majorityOf(votersOf(k), hasWitness ? 'strict' : k.settings.quorum);
}

function goodUntil(k: Keeper, link: Link): number {
  if (link.vote === null) return Number.NEGATIVE_INFINITY;
  // The voter frees it after the time that was set with it, whatever the settings say by now.
  return link.vote.renewedAt + link.vote.ttlMs - leaseMarginMs(k.settings);
}

export function isVoteGood(k: Keeper, link: Link): boolean {
  return goodUntil(k, link) > k.now;
}

export function heldVoters(k: Keeper): readonly Voter[] {
  return votersOf(k).filter((voter) => {
    const link = linkOf(k, voter.name);
    return link !== undefined && isVoteGood(k, link);
  });
}

/**
 * Until when others may have renewed votes, which are held here now, without a trace that this worker could see: it was frozen, or
 * cut off from their voters. What it did not hear then is no silence.
 */
export function missedUntil(k: Keeper): number {
  const links = heldVoters(k).map(({ name }) => linkOf(k, name));
  return Math.max(k.lateAt, ...links.map((link) => (link === undefined ? k.now : missedOn(k, link))));
}

/** Until when a majority of votes is good: the needed-th best expiry. */
export function leaseUntil(k: Keeper): number {
  const best: number[] = [];
  for (const voter of votersOf(k)) {
    const link = linkOf(k, voter.name);
    const until = link === undefined ? Number.NEGATIVE_INFINITY : goodUntil(k, link);
    let place = best.length;
    for (; place > 0 && (best[place - 1] as number) < until; place -= 1)
      best[place] = best[place - 1] as number;
    best[place] = until;
  }
  return best[neededVotes(k) - 1] ?? Number.NEGATIVE_INFINITY;
}

export function hasLease(k: Keeper): boolean {
  return votersOf(k).length > 0 && leaseUntil(k) > k.now;
}

/**
 * This machine slept, for how long its monotonic clock does not tell. No vote is good any more, and an answer that was on its way
 * makes none good again: what it answers was sent before.
 */
export function lapseVotes(k: Keeper): void {
  for (const link of k.links.values()) {
    if (link.vote !== null) link.vote.renewedAt = Number.NEGATIVE_INFINITY;
    if (link.busy !== null) link.busy = { ...link.busy, sentAt: Number.NEGATIVE_INFINITY };
  }
}

/** Renews every held vote each lease_ttl/3 and drops what has run out by our own clock. */
export function renewVotes(k: Keeper, turn: Turn): void {
  for (const link of k.links.values()) {
    if (link.vote === null) continue;
    if (!isVoteGood(k, link)) {
      endSession(k, turn, link);
      continue;
    }
    wake(k, turn, goodUntil(k, link));
    if (due(k, turn, link.vote.renewedAt + k.settings.leaseTtlMs / 3) && isIdle(link)) {
      send(k, turn, link, { kind: 'renew' });
    }
  }
}

/**
 * A worker may have sessions without the lock while its server acknowledges: one that was started beside it, while its claim runs, T at
 * most; and one whose votes were reset, or whose claim has failed, until the server is dead, for which others give it T as well
 * (its sessions are new ones then: own-server.ts). Only a session that is older says that its worker gave something up.
 */
function actedOnAfterMs(k: Keeper): number {
  return failoverTimeMs(k.settings) + leaseMarginMs(k.settings);
}

/** Tries for every vote not held, each at most every `everyMs`. */
export function tryVotes(k: Keeper, turn: Turn, voters: readonly Voter[], everyMs: number): void {
  for (const voter of voters) {
    const link = linkOf(k, voter.name);
    if (link === undefined || link.session !== 'open' || link.vote !== null) continue;
    // Who answers in the place of a witness is known only by a look on this very session.
    if (voter.kind === 'witness' && !Number.isFinite(link.obsAt)) {
      observe(k, turn, link, 0);
      continue;
    }
    if (due(k, turn, link.refusedAt + everyMs) && isIdle(link))
      send(k, turn, link, { kind: 'try-vote', knownMs: actedOnAfterMs(k) });
  }
}

/**
 * A server forgets its locks when it restarts, so while it is younger than lease_ttl an earlier holder may still count
 * on it: nobody takes its vote. Exceptions that cannot hurt: the own server, when the session that held its vote ended
 * with that restart; and a cluster of which the own server is the only voter.
 */
function isTooYoung(k: Keeper, link: Link, shownAgeMs: number): boolean {
  // Shown by that server's wall clock, which may have been set back; a session is never older than its server.
  const birthAgeMs = Math.max(shownAgeMs, link.session === 'open' ? k.now - link.openedAt : 0);
  if (birthAgeMs >= k.settings.leaseTtlMs) return false;
  if (link.voter !== k.settings.name) return true;
  const soleVoter = votersOf(k).length <= 1;
  return !soleVoter && k.now - link.lastHeldAt >= k.settings.leaseTtlMs;
}

/** How long the own server is still too young to vote, ms; 0 = old enough, or not known. */
export function ownYouthMs(k: Keeper): number {
  const link = linkOf(k, k.settings.name);
  if (link?.obs === undefined || link.obs === null || link.session !== 'open') return 0;
  const ageMs = Math.max(link.obs.birthAgeMs + (k.now - link.obsAt), k.now - link.openedAt);
  return isTooYoung(k, link, ageMs) ? k.settings.leaseTtlMs - ageMs : 0;
}

/**
 * Votes of which the former master certainly knows that it lost them: its worker has a session there that does not hold
 * the lock, for so long that it has acted on that. A session that ended on the voter's side alone (a firewall's reset) leaves its holder believing until ttl.
 */
export function isGivenUpBy(k: Keeper, name: string): boolean {
  const given = votersOf(k).filter((voter) => linkOf(k, voter.name)?.vote?.workers.includes(name) === true);
  return given.length >= neededVotes(k);
}

/** Takes in the answer to a try. */
export function ingestVote(k: Keeper, turn: Turn, arrived: Arrived): void {
  if (arrived.answer.kind !== 'vote') return;
  const link = linkOf(k, arrived.voter);
  if (link === undefined) return;
  if (!arrived.answer.granted) {
    link.refusedAt = k.now;
    return;
  }
  if (isTooYoung(k, link, arrived.answer.birthAgeMs)) {
    link.refusedAt = k.now;
    send(k, turn, link, { kind: 'release' });
    return;
  }
  link.vote = {
    renewedAt: arrived.sentAt,
    grantedAt: k.now,
    ttlMs: arrived.answer.ttlMs ?? k.settings.leaseTtlMs,
    workers: arrived.answer.workers,
  };
}

/**
 * Does the majority hold without that voter's vote? Where renewals go unanswered the vote is good until it runs out, and
 * that may be soon: it is not counted.
 */
export function canSpare(k: Keeper, voter: Voter): boolean {
  const stay = heldVoters(k).filter(({ name }) => {
    const vote = linkOf(k, name)?.vote ?? null;
    return name !== voter.name && vote !== null && k.now - vote.renewedAt <= vote.ttlMs / 2;
  });
  return stay.length >= neededVotes(k);
}

/**
 * Gives back the vote of a node that is to be rewound or copied, one at a time: its worker takes it first, so that no
 * server leaves while a majority counts on it.
 */
export function letLeave(k: Keeper, turn: Turn, leaves: (voter: Voter) => boolean): void {
  for (const voter of votersOf(k)) {
    const link = linkOf(k, voter.name);
    if (
      link === undefined ||
      !leaves(voter) ||
      !isVoteGood(k, link) ||
      !send(k, turn, link, { kind: 'release' })
    )
      continue;
    link.vote = null;
    return;
  }
}

/** Gives every vote back: by a statement, where the session is idle or as soon as it is. */
export function releaseVotes(k: Keeper, turn: Turn): void {
  for (const link of k.links.values()) {
    const trying = link.busy?.command.kind === 'try-vote';
    if (link.vote === null && !trying) continue;
    link.vote = null;
    link.lastHeldAt = Number.NEGATIVE_INFINITY;
    // An answer to a try could still be a vote. Other sessions are kept: as old ones they say that this worker gave the vote up.
    if (trying) endSession(k, turn, link);
    else link.releasing = !send(k, turn, link, { kind: 'release' });
  }
}

/** Votes that were given up while something ran on their session. */
export function finishReleases(k: Keeper, turn: Turn): void {
  for (const link of k.links.values())
    if (link.releasing) link.releasing = link.session === 'open' && !send(k, turn, link, { kind: 'release' });
}
