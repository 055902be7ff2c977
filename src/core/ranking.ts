/** Who goes first in an election, who is ahead of whom, and whether acknowledged commits could be missing. Pure values. */

import { formatLsn, type Lsn } from './lsn.js';
import { isHandedTo, isInMaintenance, priorityOf } from './plan.js';
import type { Observation, Registry, Voter } from './types.js';
import { type Origin, originOf, toldOrigin } from './votes/ballot.js';

export interface Candidate {
  readonly name: string;
  readonly seqno: number;
  /** Its own promotion in this epoch died before the row: it has all that a majority had, and others cannot pass it by. */
  readonly cutOff: boolean;
  /** The master gave its place to this node, after all of its WAL. */
  readonly handedOver: boolean;
  readonly formerMaster: boolean;
  readonly inSyncSet: boolean;
  readonly epoch: number;
  readonly promotionId: string | null;
  readonly timeline: number;
  readonly received: Lsn;
  readonly priority: number;
}

/** Why that voter may not lead, said of it; null = it may. */
export function objectionTo(voter: Voter, obs: Observation, registry: Registry): string | null {
  if (voter.kind !== 'node') return 'is a witness';
  if (!obs.inRecovery) return 'is writable, though it is not the master of the newest epoch';
  if (isInMaintenance(registry, voter.name)) return 'is in maintenance';
  if (priorityOf(registry, voter.name, obs.priority) === 0) return 'has priority 0: never master';
  // Fenced it may lead only where no other has what it has.
  if (obs.fenced && registry.master !== voter.name && !isCutOff(obs, registry))
    return 'is fenced until it has rejoined the master';
  // It still votes and lends its data until it is out, but it leads no more.
  if (!registry.nodes.some((node) => node.name === voter.name)) return 'is to be removed';
  return null;
}

function isCutOff(obs: Observation, registry: Registry): boolean {
  return isRowless(obs) && obs.registry?.epoch === registry.epoch;
}

/** A node that may lead. */
export function candidateOf(voter: Voter, obs: Observation, registry: Registry): Candidate | null {
  if (objectionTo(voter, obs, registry) !== null) return null;
  const isLastMaster = registry.master === voter.name;
  return {
    name: voter.name,
    seqno: voter.seqno,
    cutOff: isCutOff(obs, registry),
    handedOver: isHandedTo(registry, voter.name),
    formerMaster: isLastMaster && obs.registry?.epoch === registry.epoch,
    inSyncSet: registry.syncWished === 0 || registry.syncMembers.includes(voter.name),
    ...logEndOf(obs),
    priority: priorityOf(registry, voter.name, obs.priority),
  };
}

/** What a log ends with: the last registry row replayed, the timeline, the position. */
export interface LogEnd {
  readonly epoch: number;
  readonly promotionId: string | null;
  readonly timeline: number;
  readonly received: Lsn;
}

export function logEndOf(obs: Observation): LogEnd {
  const { registry, timeline, received } = obs;
  return { epoch: registry?.epoch ?? 0, promotionId: registry?.promotionId ?? null, timeline, received };
}

/** Written after the same promotion: these two logs differ by their length only. */
function isSameReign(a: LogEnd, b: LogEnd): boolean {
  return a.timeline === b.timeline && a.promotionId === b.promotionId;
}

/**
 * Which log says more. In one reign the longer one. Else the newer epoch first: timeline numbers do not tell who is newer,
 * since a master that keeps its place keeps its number and two promotions may share one.
 */
export function compareWal(a: LogEnd, b: LogEnd): number {
  if (!isSameReign(a, b)) {
    if (a.epoch !== b.epoch) return a.epoch - b.epoch;
    if (a.timeline !== b.timeline) return a.timeline - b.timeline;
  }
  return a.received < b.received ? -1 : a.received > b.received ? 1 : 0;
}

/** Everything this server has on its disk is known: read to the end, and replayed, so that its registry row is its last one. */
export function isSettled(obs: Observation): boolean {
  return !obs.inRecovery || (obs.readToEnd && obs.replayed >= obs.received);
}

/**
 * May `theirs` be compared with a log of which everything is known? Two that end with a promotion without a row pass for
 * one reign by their numbers and are not: what is not replayed may hold that row.
 */
export function isComparable(theirs: Observation, ours: Observation): boolean {
  return (
    isSettled(theirs) ||
    (theirs.readToEnd && !isRowless(theirs) && isSameReign(logEndOf(theirs), logEndOf(ours)))
  );
}

/**
 * On a timeline that its registry does not know: a promotion whose row is not written yet, or never was because the
 * candidate died before. Nothing was acknowledged on it while sync was wished.
 */
export function isRowless(obs: Observation): boolean {
  const last = obs.registry?.promotions.at(-1);
  return last !== undefined && obs.timeline > last.timeline;
}

/**
 * A higher timeline number than `target`'s, or a timeline with another promotion behind it than the one of that number in
 * `target`'s history: it can only be copied afresh. PostgreSQL sees numbers alone and would stream into it (protocol
 * section 7).
 */
export function isOtherHistory(obs: Observation, target: Observation): boolean {
  if (obs.timeline > target.timeline) return true;
  if (obs.registry === null || target.registry === null) return false;
  const { promotions, promotionId } = target.registry;
  const told = promotions.find((promotion) => promotion.timeline === obs.timeline);
  const isLast = obs.timeline === target.timeline;
  if (isRowless(obs) || (isLast && isRowless(target)))
    return !isSameElection(obs, told ?? unfinishedOf(target));
  const expected = told?.id ?? (isLast ? promotionId : undefined);
  return expected !== undefined && obs.registry.promotionId !== expected;
}

/** An end without a row is of that promotion's history if both tell of the same election: its epoch was fought for once. */
function isSameElection(obs: Observation, made: { timeline: number; epoch?: number } | null): boolean {
  const ours = unfinishedOf(obs);
  if (ours === null || ours.epoch === 0 || made === null) return false;
  return made.timeline === ours.timeline && made.epoch === ours.epoch;
}

/** Which election's promotion the end of that log is of, while no row tells. */
export function unfinishedOf(obs: Observation): Origin | null {
  if (!isRowless(obs)) return null;
  return { timeline: obs.timeline, epoch: originOf(obs.primaryConninfo, obs.timeline) };
}

/**
 * What a new ballot on that server must go on to tell. A candidate that was asked to promote tells of the timeline that it is
 * about to make, since it may do so at any time, whatever it is pointed at by then.
 */
export function originsToKeep(obs: Observation): readonly Origin[] {
  const promised = toldOrigin(obs.primaryConninfo, obs.timeline + 1);
  const mayCome = promised !== null && promised.epoch > (obs.registry?.epoch ?? 0) ? promised : null;
  return [unfinishedOf(obs), mayCome].filter((origin) => origin !== null);
}

/** Only its own worker can bring it back: by a rewind, or by a copy of `target`. */
export function mustBeRemade(obs: Observation, target: Observation): boolean {
  return obs.inRecovery && (obs.fenced || (isSettled(obs) && isOtherHistory(obs, target)));
}

/** Best first: a promotion that was cut off, the one that was handed over to, former master with its data, members of R, received WAL, priority, next master, seqno. */
export function rank(candidates: readonly Candidate[], preferred: string | null): readonly Candidate[] {
  return [...candidates].sort(
    (a, b) =>
      Number(b.cutOff) - Number(a.cutOff) ||
      Number(b.handedOver) - Number(a.handedOver) ||
      Number(b.formerMaster) - Number(a.formerMaster) ||
      Number(b.inSyncSet) - Number(a.inSyncSet) ||
      compareWal(b, a) ||
      b.priority - a.priority ||
      Number(b.name === preferred) - Number(a.name === preferred) ||
      a.seqno - b.seqno,
  );
}

export function describeRanking(ranking: readonly Candidate[]): string {
  return ranking.map((c) => `${c.name}@${c.timeline}:${formatLsn(c.received)}`).join(' > ');
}

/** The question of section 4.6: can an acknowledged commit be missing from what is here? */
export interface Restriction {
  /** |R| - k_r + 1; 0 when sync is off. */
  readonly need: number;
  readonly have: number;
  readonly awaited: readonly string[];
  readonly satisfied: boolean;
}

/** `here`: the candidate and the nodes frozen behind it. `formerMasterHere`: the newest epoch's master is among them. */
export function restriction(
  registry: Registry,
  here: ReadonlySet<string>,
  formerMasterHere: boolean,
): Restriction {
  if (registry.syncWished === 0) return { need: 0, have: 0, awaited: [], satisfied: true };
  const need = registry.syncMembers.length - registry.syncNeeded + 1;
  const present = registry.syncMembers.filter((name) => here.has(name));
  const awaited = registry.syncMembers.filter((name) => !here.has(name));
  if (need > registry.syncMembers.length && registry.master !== null) awaited.unshift(registry.master);
  return { need, have: present.length, awaited, satisfied: formerMasterHere || present.length >= need };
}
