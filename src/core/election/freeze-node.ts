/**
 * One held node in the freeze: pointed at this one, its replay helped along, and seen to stream from here; a node of
 * another history gets the ballot alone, a writable leftover is held.
 */

import { linkOf, observe, ownLink } from '../links.js';
import { isOtherHistory, isSettled, originsToKeep, unfinishedOf } from '../ranking.js';
import type { Election, Keeper, Link } from '../state.js';
import { send, type Turn } from '../turn.js';
import { holdNames, type Observation, type Voter } from '../types.js';
import { ballotText, type Origin } from '../votes/ballot.js';
import { followConninfo, mustStopFirst, nowhereConninfo } from '../watch/following.js';
import { addressOf } from '../watch/suspicion.js';
import { isFrozen } from './election-round.js';
import { helpReplay, stopFirst } from './stopping.js';

export function freezeOne(
  k: Keeper,
  turn: Turn,
  e: Election,
  voter: Voter,
  self: Voter,
  pointing: boolean,
): void {
  const link = linkOf(k, voter.name);
  const own = ownLink(k).obs;
  if (link?.obs === undefined || link.obs === null || own === null || e.frozen.has(voter.name)) return;
  if (!link.obs.inRecovery) return holdLeftover(k, turn, e, link);
  if (!e.sent.has(voter.name)) {
    if (mustStopFirst(link.obs, e.epoch)) return stopFirst(k, turn, e, link, link.obs, voter);
    if (pointing) pointAtSelf(k, turn, e, link, link.obs, own, voter, self);
    return;
  }
  if (link.obs.ballot === e.epoch) e.balloted.add(voter.name);
  if (isFrozen(link, self, e.epoch)) {
    e.frozen.add(voter.name);
    return;
  }
  if (helpReplay(k, turn, e, link)) return;
  const address = addressOf(self.conninfo);
  observe(k, turn, link, 3, address === null ? undefined : { kind: 'streaming', ...address });
}

/** What it has or may make itself; else what it is about to get from here. */
function originsOfFollower(obs: Observation, own: Observation): readonly Origin[] {
  const kept = originsToKeep(obs);
  const unfinished = unfinishedOf(own);
  return kept.length > 0 || unfinished === null ? kept : [unfinished];
}

/** Another history gets the ballot alone: it must not stream from here, and later elections must see this one. */
function pointAtSelf(
  k: Keeper,
  turn: Turn,
  e: Election,
  link: Link,
  obs: Observation,
  own: Observation,
  voter: Voter,
  self: Voter,
): void {
  const other = isOtherHistory(obs, own);
  if (other && !isSettled(obs)) {
    if (!helpReplay(k, turn, e, link)) observe(k, turn, link, 20);
    return;
  }
  const conninfo = other
    ? nowhereConninfo(voter, obs.primaryConninfo, ballotText(e.epoch, originsToKeep(obs)))
    : followConninfo(
        voter,
        obs.primaryConninfo,
        self,
        ballotText(e.epoch, originsOfFollower(obs, own)),
        own.primaryConninfo,
      );
  if (!send(k, turn, link, { kind: 'follow', conninfo, slots: own.slots ?? [] })) return;
  e.sent.add(voter.name);
}

/** A writable leftover of an older epoch: its commits wait from now on; it follows nobody and counts for nothing. */
function holdLeftover(k: Keeper, turn: Turn, e: Election, link: Link): void {
  if (link.obs?.names === holdNames || e.sent.has(link.voter)) return;
  if (send(k, turn, link, { kind: 'set-names', names: holdNames })) e.sent.add(link.voter);
}
