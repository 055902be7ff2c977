/** A standby's decisions: whom it hears, whether it strayed, when the master is gone, when to come back. */

import { startElection } from '../election/election-round.js';
import { heedOperator } from '../election/operator-word.js';
import {
  heartbeatMs,
  linkOf,
  livingMaster,
  masterLink,
  observe,
  ownLink,
  seenSince,
  votersOf,
} from '../links.js';
import { enterDown } from '../own-server/own-server.js';
import { enterRejoin } from '../own-server/rejoin.js';
import { isInMaintenance, priorityOf } from '../plan.js';
import { isOtherHistory, isRowless, isSettled, unfinishedOf } from '../ranking.js';
import type { Keeper, Link, Role } from '../state.js';
import { due, note, send, type Turn } from '../turn.js';
import { holdNames, type Observation } from '../types.js';
import { ballotText } from '../votes/ballot.js';
import { isVoteGood, ownYouthMs, releaseVotes, tryVotes } from '../votes/lease.js';
import { isTwoNodeAuto } from '../votes/two-nodes.js';
import { followsNobody, isPointedAt, nowhereConninfo } from '../watch/following.js';
import { isMyTurn, isOutOfTurn, yieldsUntil } from '../watch/succession.js';
import { judgeSuspicion, streamsFrom, watchMaster } from '../watch/suspicion.js';

type Standby = Extract<Role, { kind: 'standby' }>;

/** How long a standby that should stream from the master may not do so before it is brought back by force. */
function strayBoundMs(k: Keeper): number {
  return Math.max(5000, 2 * k.settings.keepaliveTimeMs) * 2 ** Math.min(k.rejoinTries, 6);
}

const replayBoundMs = 30_000;
/** A lost branch is certain: it must not stream from whoever next answers at the address it points to. */
const otherHistoryMs = 2000;

export function decideStandby(k: Keeper, turn: Turn, role: Standby): void {
  const own = ownLink(k);
  if (own.session !== 'open') {
    if (own.session === 'none' && own.failure !== null && own.failure !== 'speaks')
      return enterDown(k, turn, false);
    return;
  }
  for (const link of k.links.values()) observe(k, turn, link, heartbeatMs(k));
  const { obs } = own;
  if (obs === null || !seenSince(own, Number.NEGATIVE_INFINITY)) return;
  if (!obs.inRecovery) return startElection(k, turn, 'claim', k.now, k.now);
  if (k.registry === null || !votersOf(k).some((voter) => voter.name === k.settings.name)) return;
  restUnderHold(k, turn, role, obs);
  const master = livingMaster(k);
  if (master?.obs) {
    role.blocked = null;
    const leftAlone = isInMaintenance(k.registry, k.settings.name);
    if (!leftAlone && comeBack(k, turn, role, master, master.obs, obs)) return;
    if (own.vote !== null) releaseVotes(k, turn);
  } else if (followsDeadEnd(k, turn, role, obs)) {
    leaveDeadEnd(k, turn, obs);
  } else if (own.vote !== null) {
    // It was to be rejoined; with the master gone its vote is for whoever stands.
    releaseVotes(k, turn);
  } else if (k.registry.master === k.settings.name) {
    // This node was the last master and is a standby now: nobody else can be waited for, but whom it gave its place to.
    if (heedOperator(k, turn, role.suspectAfter)) return;
    const since = Math.max(role.suspectAfter, own.obsAt, yieldsUntil(k));
    if (ownPriority(k) > 0 && !isOutOfTurn(k, obs) && due(k, turn, since))
      startElection(k, turn, 'failover', null, k.now);
    return;
  }
  if (master === undefined && heedOperator(k, turn, role.suspectAfter)) return;
  if (isOutOfTurn(k, obs)) {
    role.suspicion = null;
    return;
  }
  if (isMyTurn(k, turn)) {
    if (ownPriority(k) === 0 || !due(k, turn, role.suspectAfter)) return;
    role.suspicion = null;
    note(k, turn, 'handover-received', { master: k.registry.master ?? '-' });
    return startElection(k, turn, 'failover', null, k.now);
  }
  watchMaster(k, turn, role);
  const since = role.suspicion?.since;
  const verdict = role.suspicion === null ? 'seen' : judgeSuspicion(k, turn, role);
  if (verdict !== 'gone' || since === undefined) return;
  note(k, turn, 'election-started', { master: k.registry.master ?? '-', askedMs: Math.round(k.now - since) });
  if (ownPriority(k) === 0) {
    role.suspicion = null;
    role.suspectAfter = k.now + k.settings.keepaliveTimeMs;
    return;
  }
  if (isTwoNodeAuto(k)) note(k, turn, 'two-nodes');
  startElection(k, turn, 'failover', null, since);
}

const holdEveryMs = 10_000;

/**
 * While sync is wished by its own row a standby rests under hold. The master sees to that where it has the vote; a standby may stream,
 * acknowledge and be elected where it has not. Set just before pg_promote the hold might come too late.
 */
function restUnderHold(k: Keeper, turn: Turn, role: Standby, { names, registry }: Observation): void {
  if (registry === null || registry.syncWished === 0 || names === holdNames) return;
  const { name } = k.settings;
  // One that is to be removed leaves without our names.
  if (!k.registry?.nodes.some((node) => node.name === name) || isInMaintenance(k.registry, name)) return;
  if (!due(k, turn, role.heldAt + holdEveryMs)) return;
  if (send(k, turn, ownLink(k), { kind: 'set-names', names: holdNames })) role.heldAt = k.now;
}

function ownPriority(k: Keeper): number {
  return priorityOf(k.registry, k.settings.name, k.settings.priority);
}

/** How long a source that is not writable may stay so before who follows its unfinished promotion leaves it. */
const deadEndMs = 300;

/**
 * It followed a promotion that never got its row. Whoever was promoted may be copied from another master, whose timeline
 * can have the same number: this server must not stream from it then, so it is pointed nowhere before.
 */
function followsDeadEnd(k: Keeper, turn: Turn, role: Standby, ours: Observation): boolean {
  const source = votersOf(k).find((voter) => voter.name !== k.settings.name && isPointedAt(ours, voter));
  const link = source === undefined ? undefined : linkOf(k, source.name);
  if (link === undefined || !isRowless(ours) || !isSettled(ours) || link.obs?.inRecovery === false) {
    role.deadEndSince = null;
    return false;
  }
  role.deadEndSince ??= k.now;
  const looks = [ownLink(k), link];
  for (const each of looks) observe(k, turn, each, deadEndMs / 3);
  const until = role.deadEndSince + deadEndMs;
  return due(k, turn, until) && looks.every((each) => each.session !== 'open' || each.obsAt >= until);
}

function leaveDeadEnd(k: Keeper, turn: Turn, ours: Observation): void {
  const self = votersOf(k).find((voter) => voter.name === k.settings.name);
  const own = ownLink(k);
  if (self === undefined || !mayLeave(k, turn)) return;
  // Until the vote was in hand an election could be fought here: its ballot must not be overwritten by an older one.
  if (!seenSince(own, own.vote?.grantedAt ?? own.openedAt)) return observe(k, turn, own, 0);
  const conninfo = nowhereConninfo(self, ours.primaryConninfo, ballotText(ours.ballot, unfinishedOf(ours)));
  if (send(k, turn, own, { kind: 'follow', conninfo })) own.obsAt = Number.NEGATIVE_INFINITY;
}

/** Fenced, on a lost branch, or stuck: rejoin. Returns true when it does. */
function comeBack(
  k: Keeper,
  turn: Turn,
  role: Standby,
  master: Link,
  theirs: Observation,
  ours: Observation,
): boolean {
  const masterVoter = votersOf(k).find((voter) => voter.name === master.voter);
  if (masterVoter === undefined) return false;
  // This node was counted in a later election than this master's: it waits for that one's outcome.
  if (ours.ballot > (theirs.registry?.epoch ?? 0)) return false;
  const lacksPromotion = ours.registry?.promotionId !== theirs.registry?.promotionId;
  // pg_rewind would see nothing to do where the timeline number is the same, so it is not asked. A promotion without a row has the
  // row of the history before it: nothing else tells that it cannot follow.
  const otherHistory = isOtherHistory(ours, theirs) && isSettled(ours);
  if (ours.fenced) {
    role.strayedSince ??= k.now;
    // An election made it follow again: the mark goes by the hand that holds its vote, nothing needs to be rewound.
    const follows = streamsFrom(ours, masterVoter) && !lacksPromotion;
    if (follows && !due(k, turn, role.strayedSince + replayBoundMs)) return false;
    // Which history this is shows once all of it is replayed; a replay that hangs must not keep it out for ever.
    const unknown = isOtherHistory(ours, theirs) && !isSettled(ours);
    if (unknown && !due(k, turn, role.strayedSince + replayBoundMs)) return true;
    if (!mayLeave(k, turn)) return true;
    enterRejoin(
      k,
      turn,
      master,
      unknown || otherHistory ? 'copy' : 'rewind-or-copy',
      'fenced, and a newer master exists',
    );
    return true;
  }
  // One that has just started follows whom its files name, who may have been copied from another history by the same number.
  if (otherHistory && !followsNobody(ours) && ownYouthMs(k) > 0) leaveDeadEnd(k, turn, ours);
  const streaming = streamsFrom(ours, masterVoter);
  if (streaming) k.rejoinTries = 0;
  if (streaming || (!isPointedAt(ours, masterVoter) && !lacksPromotion && !otherHistory)) {
    role.strayedSince = null;
    role.saidStrayed = false;
    return false;
  }
  role.strayedSince ??= k.now;
  endWrongReceiver(k, turn, role, ours, masterVoter.conninfo);
  if (!due(k, turn, role.strayedSince + (otherHistory ? otherHistoryMs : strayBoundMs(k)))) return false;
  if (!lacksPromotion && !otherHistory) {
    // The same history: nothing that a rewind could mend. Removed WAL, rights, the network: a matter for people.
    if (role.saidStrayed) return false;
    role.saidStrayed = true;
    note(k, turn, 'not-streaming', { master: master.voter, forMs: Math.round(k.now - role.strayedSince) });
    return false;
  }
  if (k.now - master.lastAlive > k.settings.keepaliveTimeMs) return false;
  if (!isPointedAt(ours, masterVoter) && !otherHistory) return false;
  if (!mayLeave(k, turn)) return true;
  enterRejoin(k, turn, master, otherHistory ? 'copy' : 'rewind-or-copy', 'does not stream from the master');
  return true;
}

/**
 * A server that is rewound or copied has no vote, and its data are no data meanwhile. So it leaves only with its own vote
 * in hand: then no majority counts on it. (Of a server that has just started nobody has the vote.)
 */
function mayLeave(k: Keeper, turn: Turn): boolean {
  if (isVoteGood(k, ownLink(k)) || ownYouthMs(k) > 0) return true;
  tryVotes(
    k,
    turn,
    votersOf(k).filter((voter) => voter.name === k.settings.name),
    250,
  );
  return false;
}

/**
 * A WAL receiver that keeps streaming from somebody else although primary_conninfo says otherwise (paused or blocked
 * replay keeps the old stream alive): only this worker can end that process.
 */
export function endWrongReceiver(
  k: Keeper,
  turn: Turn,
  role: { receiverEndedAt: number },
  ours: Observation,
  _conninfo: string,
): void {
  const { walReceiver } = ours;
  if (walReceiver === null || walReceiver.host === null || ours.primaryConninfo.trim() === '') return;
  const pointed = votersOf(k).find((voter) => isPointedAt(ours, voter));
  if (pointed === undefined || streamsFrom(ours, pointed)) return;
  if (!due(k, turn, role.receiverEndedAt + 1000)) return;
  role.receiverEndedAt = k.now;
  turn.effects.push({ kind: 'end-wal-receiver' });
}

/** State name of a standby: connected while its master answers, alone when less than a majority does. */
export function standbyState(k: Keeper, role: Standby): string {
  const own = ownLink(k);
  if (isInMaintenance(k.registry, k.settings.name)) return 'maintenance';
  if (own.obs?.fenced === true) return 'fenced';
  if (role.blocked !== null) return 'standby:blocked';
  const isMasterThere = masterLink(k)?.session === 'open';
  const reachable = votersOf(k).filter((voter) => linkOf(k, voter.name)?.session === 'open').length;
  // Also while it suspects: without a majority it does so again and again, and that is all that is to be known.
  if (!isMasterThere && reachable * 2 <= votersOf(k).length) return 'standby:alone';
  if (role.suspicion !== null) return 'standby:suspecting';
  return isMasterThere ? 'standby:connected' : 'standby:ready';
}
