/** Keeping nodes behind the master: whose vote is held is pointed here, or kept away where its history is another one. */

import { observe, ownLink, voterNamed } from '../links.js';
import { isOtherHistory, isSettled, originsToKeep } from '../ranking.js';
import type { Keeper, Link } from '../state.js';
import { due, isIdle, note, send, type Turn } from '../turn.js';
import { holdNames, type Observation, type Voter } from '../types.js';
import { ballotText } from '../votes/ballot.js';
import { isVoteGood } from '../votes/lease.js';
import {
  followConninfo,
  followsNobody,
  isPointedAt,
  mustStopFirst,
  nowhereConninfo,
  stoppedConninfo,
} from '../watch/following.js';
import { streamsFrom } from '../watch/suspicion.js';

/** A node whose stream is to end is looked at so often. */
const stoppedLookMs = 100;

/** Keeps a node whose vote is held behind this master. One command at a time; the next turn goes on. */
export function tend(k: Keeper, turn: Turn, link: Link): void {
  const { obs } = link;
  const { registry } = k;
  if (obs === null || registry === null || !isIdle(link) || !isVoteGood(k, link)) return;
  const voter = voterNamed(k, link.voter);
  if (voter?.kind !== 'node') return;
  if (!obs.inRecovery) return tendLeftover(k, turn, link, obs);
  const self = voterNamed(k, k.settings.name);
  const ours = ownLink(k).obs;
  if (self === undefined || ours === null) return;
  // One that is to be removed never leads again, and leaves without our names (membership.ts).
  const leaves = !registry.nodes.some(({ name }) => name === link.voter);
  // Where its own row still wishes sync, it would be elected by that.
  const resting = leaves ? obs.names : registry.syncWished > 0 ? holdNames : '';
  if (resting === holdNames && obs.names !== holdNames) {
    obsStale(link, send(k, turn, link, { kind: 'set-names', names: holdNames }));
  } else if (resting === '' && obs.names === holdNames && obs.registry?.syncWished === 0) {
    obsStale(link, send(k, turn, link, { kind: 'set-names', names: null }));
  } else if (obs.fenced) {
    // Its own worker checks its history first; until then it follows nobody. It must not wait for an election that failed.
    if (streamsFrom(obs, self) && isSettled(obs) && !isOtherHistory(obs, ours))
      obsStale(link, send(k, turn, link, { kind: 'clear-fence' }));
    else if (isOutvoted(k, obs)) pointNowhere(k, turn, link, obs, voter, registry.epoch);
  } else if (!isPointedAt(obs, self)) {
    pointHere(k, turn, link, obs, voter, self, ours);
  } else if (obs.retryOverride && streamsFrom(obs, self)) {
    obsStale(link, send(k, turn, link, { kind: 'reset-retry' }));
  }
}

/** After a change the old look says nothing: the next one comes at once. */
function obsStale(link: Link, sent: boolean): void {
  if (!sent) return;
  link.obs = null;
  link.obsAt = Number.NEGATIVE_INFINITY;
}

/**
 * A ballot above the present epoch: whoever fought for that epoch is in the majority that elected this master, with votes
 * and rows, so nothing can come of it any more.
 */
export function isOutvoted(k: Keeper, obs: Observation): boolean {
  return obs.ballot > (k.registry?.epoch ?? 0);
}

/** Until it is copied afresh a lost branch may stream from nobody: PostgreSQL would not tell its history from this one. */
function keepAway(k: Keeper, turn: Turn, link: Link, obs: Observation, voter: Voter, epoch: number): void {
  if (obs.primaryConninfo.trim() === '' || !isSettled(obs)) return;
  if (!followsNobody(obs) || isOutvoted(k, obs)) pointNowhere(k, turn, link, obs, voter, epoch);
}

function stopFirst(k: Keeper, turn: Turn, link: Link, obs: Observation, voter: Voter): void {
  if (followsNobody(obs)) return observe(k, turn, link, stoppedLookMs);
  obsStale(
    link,
    send(k, turn, link, { kind: 'follow', conninfo: stoppedConninfo(voter, obs.primaryConninfo) }),
  );
}

function pointNowhere(
  k: Keeper,
  turn: Turn,
  link: Link,
  obs: Observation,
  voter: Voter,
  epoch: number,
): void {
  if (mustStopFirst(obs, epoch)) return stopFirst(k, turn, link, obs, voter);
  const conninfo = nowhereConninfo(voter, obs.primaryConninfo, ballotText(epoch, originsToKeep(obs)));
  obsStale(link, send(k, turn, link, { kind: 'follow', conninfo }));
}

/** The same timeline number without this promotion is another history: its worker must copy it afresh first. */
function pointHere(
  k: Keeper,
  turn: Turn,
  link: Link,
  obs: Observation,
  voter: Voter,
  self: Voter,
  ours: Observation,
): void {
  const { registry } = k;
  if (registry === null) return;
  if (mustStopFirst(obs, registry.epoch)) return stopFirst(k, turn, link, obs, voter);
  if (isOtherHistory(obs, ours)) return keepAway(k, turn, link, obs, voter, registry.epoch);
  const ballot = ballotText(registry.epoch, originsToKeep(obs));
  const conninfo = followConninfo(voter, obs.primaryConninfo, self, ballot, ours.primaryConninfo);
  if (!send(k, turn, link, { kind: 'follow', conninfo, slots: ours.slots ?? [] })) return;
  note(k, turn, 'node-following', { voter: voter.name });
  obsStale(link, true);
}

/** A writable leftover of an older epoch: its commits are held and its sessions ended until its worker fences it. */
function tendLeftover(k: Keeper, turn: Turn, link: Link, obs: Observation): void {
  if ((obs.registry?.epoch ?? 0) > (k.registry?.epoch ?? 0)) return;
  if (obs.names !== holdNames) {
    note(k, turn, 'leftover-held', { voter: link.voter, epoch: obs.registry?.epoch ?? 0 });
    obsStale(link, send(k, turn, link, { kind: 'set-names', names: holdNames }));
  } else if (due(k, turn, link.obsAt + 1000)) {
    // Looked at again before the next time, or it would be asked without a pause until the next look is due.
    obsStale(link, send(k, turn, link, { kind: 'end-sessions' }));
  }
}
