/** How a standby that is fenced, on a lost branch or stuck gets behind the master again. */

import { linkOf, observe, ownLink, seenSince, votersOf } from '../links.js';
import { enterRejoin } from '../own-server/rejoin.js';
import { isOtherHistory, isRowless, isSettled, mustBeRemade, originsToKeep } from '../ranking.js';
import type { Keeper, Link, Role } from '../state.js';
import { due, note, send, type Turn } from '../turn.js';
import { holdNames, type Observation, type Voter } from '../types.js';
import { ballotText } from '../votes/ballot.js';
import { isVoteGood, neededVotes, ownYouthMs, releaseVotes, tryVotes } from '../votes/lease.js';
import { followsNobody, isPointedAt, nowhereConninfo } from '../watch/following.js';
import { streamsFrom } from '../watch/suspicion.js';

type Standby = Extract<Role, { kind: 'standby' }>;

/** How long a standby that should stream from the master may not do so before it is brought back by force. */
function strayBoundMs(k: Keeper): number {
  return Math.max(5000, 2 * k.settings.keepaliveTimeMs) * 2 ** Math.min(k.rejoinTries, 6);
}

const replayBoundMs = 30_000;
/** A lost branch is certain: it must not stream from whoever next answers at the address it points to. */
const otherHistoryMs = 2000;

/** How long a source that is not writable may stay so before who follows its unfinished promotion leaves it. */
const deadEndMs = 300;

/**
 * It followed a promotion that never got its row. Whoever was promoted may be copied from another master, whose timeline
 * can have the same number: this server must not stream from it then, so it is pointed nowhere before.
 */
export function followsDeadEnd(k: Keeper, turn: Turn, role: Standby, ours: Observation): boolean {
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

export function leaveDeadEnd(k: Keeper, turn: Turn, ours: Observation): void {
  const self = votersOf(k).find((voter) => voter.name === k.settings.name);
  const own = ownLink(k);
  if (self === undefined || !mayLeave(k, turn)) return;
  // Until the vote was in hand an election could be fought here: its ballot must not be overwritten by an older one.
  if (!seenSince(own, own.vote?.grantedAt ?? own.openedAt)) return observe(k, turn, own, 0);
  const conninfo = nowhereConninfo(self, ours.primaryConninfo, ballotText(ours.ballot, originsToKeep(ours)));
  if (send(k, turn, own, { kind: 'follow', conninfo })) own.obsAt = Number.NEGATIVE_INFINITY;
}

/** How long a node stays because it is missed: whoever is gone for good must not keep it out of the cluster. */
const missedBoundMs = 30_000;
/** And while another one is brought back, with which the source gets its majority. */
const afterOtherBoundMs = 60_000;

/** What there is to know of this node beside the master that it should stream from. */
interface Stray {
  readonly role: Standby;
  readonly master: Link;
  readonly masterVoter: Voter;
  readonly theirs: Observation;
  readonly ours: Observation;
  /** The master's row is of another promotion. */
  readonly lacksPromotion: boolean;
  /**
   * pg_rewind would see nothing to do where the timeline number is the same, so it is not asked. A promotion without a row
   * has the row of the history before it: nothing else tells that it cannot follow.
   */
  readonly otherHistory: boolean;
}

/** Fenced, on a lost branch, or stuck: rejoin. True when nothing else is to be decided in this turn. */
export function comeBack(
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
  const stray: Stray = {
    role,
    master,
    masterVoter,
    theirs,
    ours,
    lacksPromotion: ours.registry?.promotionId !== theirs.registry?.promotionId,
    otherHistory: isOtherHistory(ours, theirs) && isSettled(ours),
  };
  return ours.fenced ? unfence(k, turn, stray) : returnToMaster(k, turn, stray);
}

function unfence(k: Keeper, turn: Turn, stray: Stray): boolean {
  const { role, theirs, ours, otherHistory } = stray;
  role.strayedSince ??= k.now;
  const until = role.strayedSince + replayBoundMs;
  // An election made it follow again: the mark goes by the hand that holds its vote, nothing needs to be rewound.
  const follows = streamsFrom(ours, stray.masterVoter) && !stray.lacksPromotion;
  if (follows && !due(k, turn, until)) return false;
  // Which history this is shows once all of it is replayed; a replay that hangs must not keep it out for ever.
  const unknown = isOtherHistory(ours, theirs) && !isSettled(ours);
  if (unknown && !due(k, turn, until)) return true;
  return rejoin(k, turn, stray, unknown || otherHistory, 'fenced, and a newer master exists');
}

function returnToMaster(k: Keeper, turn: Turn, stray: Stray): boolean {
  const { role, master, masterVoter, ours, lacksPromotion, otherHistory } = stray;
  // One that has just started follows whom its files name, who may have been copied from another history by the same number.
  if (otherHistory && !followsNobody(ours) && ownYouthMs(k) > 0) leaveDeadEnd(k, turn, ours);
  const streaming = streamsFrom(ours, masterVoter);
  if (streaming) k.rejoinTries = 0;
  const isPointedHere = streaming || isPointedAt(ours, masterVoter);
  if (streaming || (!isPointedHere && !lacksPromotion && !otherHistory)) {
    role.strayedSince = null;
    role.saidStrayed = false;
    return false;
  }
  role.strayedSince ??= k.now;
  endWrongReceiver(k, turn, role, ours);
  if (!due(k, turn, role.strayedSince + (otherHistory ? otherHistoryMs : strayBoundMs(k)))) return false;
  if (!lacksPromotion && !otherHistory) {
    // The same history: nothing that a rewind could mend. Removed WAL, rights, the network: a matter for people.
    if (role.saidStrayed) return false;
    role.saidStrayed = true;
    note(k, turn, 'not-streaming', { master: master.voter, forMs: Math.round(k.now - role.strayedSince) });
    return false;
  }
  if (k.now - master.lastAlive > k.settings.keepaliveTimeMs) return false;
  if (!isPointedHere && !otherHistory) return false;
  return rejoin(k, turn, stray, otherHistory, 'does not stream from the master');
}

/** Waits for a majority of others first, and for its own vote. */
function rejoin(k: Keeper, turn: Turn, stray: Stray, copy: boolean, why: string): true {
  if (isMissed(k, turn, stray)) {
    if (ownLink(k).vote !== null) releaseVotes(k, turn);
  } else if (mayLeave(k, turn)) {
    enterRejoin(k, turn, stray.master, copy ? 'copy' : 'rewind-or-copy', why);
  }
  return true;
}

/**
 * What is half rewound or copied when its source dies starts no more: two of three in that state, and nobody can be elected
 * though all servers run. Where the row of the source is on a majority, that majority is not among them; with sync wished the source is under
 * hold until then. While it is, a node leaves if those that answer are a majority without it, and of several that must leave the
 * first by number does.
 */
function isMissed(k: Keeper, turn: Turn, { role, master, masterVoter, theirs }: Stray): boolean {
  const voters = votersOf(k);
  const needed = neededVotes(k);
  if (theirs.names !== holdNames || voters.length - 1 < needed) {
    role.missed = null;
    return false;
  }
  const seqno = voters.find((voter) => voter.name === k.settings.name)?.seqno ?? 0;
  const leavesFirst = (voter: Voter): boolean => {
    const obs = linkOf(k, voter.name)?.obs ?? null;
    if (voter.seqno >= seqno || obs === null || !obs.inRecovery) return false;
    const lacksPromotion = obs.registry?.promotionId !== theirs.registry?.promotionId;
    return mustBeRemade(obs, theirs) || (lacksPromotion && !streamsFrom(obs, masterVoter));
  };
  const staying = voters.filter((voter) => {
    const link = linkOf(k, voter.name);
    if (link === undefined || voter.name === k.settings.name) return false;
    observe(k, turn, link, 250);
    const youngest = k.now - Math.min(1000, k.settings.keepaliveTimeMs);
    return !leavesFirst(voter) && seenSince(link, Math.max(link.openedAt, youngest));
  });
  if (staying.length >= needed) {
    role.missed = null;
    return false;
  }
  const source = `${master.voter} ${theirs.registry?.epoch}`;
  if (role.missed?.source !== source) role.missed = { source, since: k.now, said: false };
  const { since, said } = role.missed;
  // Sessions that are only being opened are not worth a word.
  if (!said && due(k, turn, since + 2000)) {
    role.missed.said = true;
    note(k, turn, 'rejoin-waits', { staying: staying.length, voters: voters.length, needed });
  }
  return !due(k, turn, since + (voters.some(leavesFirst) ? afterOtherBoundMs : missedBoundMs));
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
): void {
  const { walReceiver } = ours;
  if (walReceiver === null || walReceiver.host === null || ours.primaryConninfo.trim() === '') return;
  const pointed = votersOf(k).find((voter) => isPointedAt(ours, voter));
  if (pointed === undefined ? !followsNobody(ours) : streamsFrom(ours, pointed)) return;
  if (!due(k, turn, role.receiverEndedAt + 1000)) return;
  role.receiverEndedAt = k.now;
  turn.effects.push({ kind: 'end-wal-receiver' });
}
