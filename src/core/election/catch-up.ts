/** A held node has more than the candidate: it goes first if it can, else the candidate streams the difference from it. */

import { linkOf, observe, ownLink, seenSince, voterNamed, votersOf } from '../links.js';
import { formatLsn } from '../lsn.js';
import { compareWal, isOtherHistory, isRowless, isSettled, logEndOf, originsToKeep } from '../ranking.js';
import type { Election, Keeper, Link } from '../state.js';
import { due, note, randomBetween, send, type Turn } from '../turn.js';
import { ballotText } from '../votes/ballot.js';
import { followConninfo, mustStopFirst } from '../watch/following.js';
import { abandon, enterPhase, failClaim } from './election-round.js';
import { followersStopped } from './stopping.js';

const catchUpBoundMs = 10_000;

/** Who is ahead goes first, if it can; else the difference is streamed from it. */
export function yieldOrCatchUp(k: Keeper, turn: Turn, e: Election, ahead: Link): void {
  const obs = ahead.obs;
  const ours = ownLink(k).obs;
  if (obs === null || ours === null) return;
  const theirs = `${obs.timeline}:${formatLsn(obs.received)}`;
  const details = { peer: ahead.voter, theirs, ours: `${ours.timeline}:${formatLsn(ours.received)}` };
  if (e.cause === 'failover' && isOtherHistory(ours, obs)) {
    note(k, turn, 'peer-ahead', { ...details, what: 'this node needs a fresh copy and cannot lead' });
    return abandon(k, turn, e, randomBetween(k, 1000, 3000));
  }
  if (e.cause === 'claim') {
    note(k, turn, 'peer-ahead', { ...details, what: 'this server may not stay master' });
    return failClaim(k, turn, `${ahead.voter} is ahead`);
  }
  note(k, turn, 'peer-ahead', { ...details, what: 'streaming the difference from it' });
  e.aheadOf = ahead.voter;
  e.marks.set('target', Number(obs.received));
  enterPhase(k, e, 'catch-up');
}

/** Streams from the node that is ahead until this one has as much, then starts over with the votes still held. */
export function walkCatchUp(k: Keeper, turn: Turn, e: Election): void {
  const own = ownLink(k);
  const source = e.aheadOf === null ? undefined : voterNamed(k, e.aheadOf);
  const sourceObs = e.aheadOf === null ? null : linkOf(k, e.aheadOf)?.obs;
  const self = votersOf(k).find((voter) => voter.name === k.settings.name);
  if (source === undefined || self === undefined || !sourceObs || own.obs === null)
    return abandon(k, turn, e, randomBetween(k, 200, 500));
  if (!e.sent.has('follow')) {
    const mayGetMore = isRowless(sourceObs) || mustStopFirst(sourceObs, e.epoch);
    if (mayGetMore && !followersStopped(k, turn, e)) return;
    if (
      send(k, turn, own, {
        kind: 'follow',
        conninfo: followConninfo(
          self,
          own.obs.primaryConninfo,
          source,
          ballotText(e.epoch, originsToKeep(sourceObs)),
          sourceObs.primaryConninfo,
        ),
        slots: sourceObs.slots ?? [],
      })
    )
      e.sent.add('follow');
    return;
  }
  observe(k, turn, own, 10);
  const caughtUp =
    seenSince(own, e.phaseAt) &&
    isSettled(own.obs) &&
    compareWal(logEndOf(own.obs), logEndOf(sourceObs)) >= 0;
  if (caughtUp) {
    e.frozen.clear();
    e.balloted.clear();
    e.startedAt = k.now;
    enterPhase(k, e, 'freeze');
    return;
  }
  if (due(k, turn, e.phaseAt + catchUpBoundMs)) {
    note(k, turn, 'election-aborted', { why: `could not stream the difference from ${source.name}` });
    abandon(k, turn, e, randomBetween(k, 500, 1500));
  }
}
