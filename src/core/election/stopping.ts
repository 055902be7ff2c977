/**
 * Ending streams under the ballot of an election that no row tells of, before a new ballot is written (following.ts). What a node gets
 * in between it would pass off as of the new election, and so would whoever follows it.
 */

import { linkOf, observe, ownLink, seenSince } from '../links.js';
import type { Election, Keeper, Link } from '../state.js';
import { due, note, randomBetween, send, type Turn } from '../turn.js';
import type { Observation, Voter } from '../types.js';
import { heldVoters } from '../votes/lease.js';
import { followsNobody, isStopped, mustStopFirst, stoppedConninfo } from '../watch/following.js';
import { abandon } from './election-round.js';

/** Replay that blocks the switch of the stream is helped along after that. */
export const resumeAfterMs = 300;
const ownStopBoundMs = 3000;
/** Those that go on for longer are left as they are: a cluster must not wait for them. Before freezeBound, or nobody pointed then could follow in time. */
const othersBoundMs = 1000;

/**
 * This node may itself still receive the promotion of an election before, and pass it on to whoever follows it, under the ballot of
 * this one. So its own stream ends first.
 */
export function followsUnfinished(k: Keeper, turn: Turn, e: Election, self: Voter): boolean {
  const own = ownLink(k);
  if (own.obs === null || !own.obs.inRecovery || !mustStopFirst(own.obs, 0)) return false;
  if (!followsNobody(own.obs)) {
    const conninfo = stoppedConninfo(self, own.obs.primaryConninfo);
    if (!e.sent.has('stopped') && send(k, turn, own, { kind: 'follow', conninfo })) e.sent.add('stopped');
  } else if (due(k, turn, e.phaseAt + resumeAfterMs) && !e.sent.has('own receiver ended')) {
    // Its replay is stuck, and keeps the old stream alive.
    e.sent.add('own receiver ended');
    turn.effects.push({ kind: 'end-wal-receiver' });
  }
  if (due(k, turn, e.phaseAt + ownStopBoundMs)) {
    note(k, turn, 'election-aborted', { why: 'the own WAL receiver does not end' });
    abandon(k, turn, e, randomBetween(k, 200, 500));
    return true;
  }
  observe(k, turn, own, 3);
  return true;
}

/** All first: one that is pointed already passes on what it gets to those that still follow it. */
export function mayPoint(k: Keeper, turn: Turn, e: Election, others: readonly Voter[]): boolean {
  const allStopped = others.every(({ name }) => {
    const obs = linkOf(k, name)?.obs;
    return !obs?.inRecovery || e.sent.has(name) || !mustStopFirst(obs, e.epoch);
  });
  return allStopped || due(k, turn, e.phaseAt + othersBoundMs);
}

/**
 * This node is about to receive a promotion without a row, and would pass it on to the nodes that follow it: false until
 * those held follow nobody.
 */
export function followersStopped(k: Keeper, turn: Turn, e: Election): boolean {
  let stopped = true;
  for (const voter of heldVoters(k)) {
    const link = linkOf(k, voter.name);
    if (voter.kind !== 'node' || voter.name === k.settings.name || !link?.obs?.inRecovery) continue;
    // A look from before may be older than what points it at this one.
    const isNew = seenSince(link, e.phaseAt);
    if (isNew && isStopped(link.obs)) continue;
    if (isNew) stopFirst(k, turn, e, link, link.obs, voter);
    else observe(k, turn, link, 0);
    stopped = false;
  }
  return stopped || due(k, turn, e.phaseAt + othersBoundMs);
}

export function stopFirst(
  k: Keeper,
  turn: Turn,
  e: Election,
  link: Link,
  obs: Observation,
  voter: Voter,
): void {
  const mark = `${voter.name} stopped`;
  if (!followsNobody(obs) && !e.sent.has(mark)) {
    const conninfo = stoppedConninfo(voter, obs.primaryConninfo);
    if (send(k, turn, link, { kind: 'follow', conninfo })) e.sent.add(mark);
  } else if (!helpReplay(k, turn, e, link)) observe(k, turn, link, 3);
}

export function helpReplay(k: Keeper, turn: Turn, e: Election, link: Link): boolean {
  const mark = `${link.voter} resumed`;
  if (k.now - e.phaseAt <= resumeAfterMs || e.sent.has(mark)) return false;
  if (send(k, turn, link, { kind: 'resume-replay' })) e.sent.add(mark);
  return true;
}
