/**
 * With a majority of votes: point every held node at this one, prove it by its WAL receiver, and find out whether any
 * acknowledged commit could be missing. Nothing here can be undone by an old decision: all goes through vote sessions.
 */

import { linkOf, observe, ownLink, seenSince, voterNamed, votersOf } from '../links.js';
import { formatLsn } from '../lsn.js';
import { forbidsPromotion } from '../plan.js';
import { compareWal, isComparable, isSettled, logEndOf, restriction } from '../ranking.js';
import type { Arrived, Election, Keeper, Link } from '../state.js';
import { due, note, randomBetween, send, type Turn } from '../turn.js';
import { holdNames, type Observation, pollDeadlineMs, type Registry, type Voter } from '../types.js';
import { heldVoters, neededVotes } from '../votes/lease.js';
import { ballotWitnesses, isPromiseSeen, rowInForce, witnessAhead } from '../votes/witness.js';
import { yieldOrCatchUp } from './catch-up.js';
import { abandon, enterPhase, failClaim, formerMasterIsHere, isFresh } from './election-round.js';
import { freezeOne } from './freeze-node.js';
import { firstOfPromotion, won } from './promotion.js';
import { awaitLateRivals, awaitRivals } from './rivals.js';
import { followsUnfinished, mayPoint, resumeAfterMs } from './stopping.js';
import { awaitLease } from './voting.js';

/** After that long, nodes that will not freeze are left out when the others suffice. */
const freezeBoundMs = 1500;
const catchUpBoundMs = 10_000;

export function walkFreeze(k: Keeper, turn: Turn, e: Election): void {
  const self = voterNamed(k, k.settings.name);
  const own = ownLink(k);
  if (self === undefined) return abandon(k, turn, e, k.settings.keepaliveTimeMs);
  const held = heldVoters(k);
  if (held.length < neededVotes(k)) {
    note(k, turn, 'election-aborted', { why: `only ${held.length} votes left` });
    return abandon(k, turn, e, randomBetween(k, 50, 250));
  }
  if (!lookAtHeld(k, turn, e, held)) return;
  if (k.registry?.epoch !== e.baseEpoch) return newerEpoch(k, turn, e);
  if (e.epoch === 0 && awaitRivals(k, turn, e)) return;
  if (e.epoch === 0 && chooseEpoch(k, e)) return keepMaster(k, turn, e, held.length);
  if (e.cause === 'failover' && !e.sent.has('shorten-retry')) {
    if (send(k, turn, own, { kind: 'shorten-retry' })) e.sent.add('shorten-retry');
  }
  if (
    e.cause === 'claim' &&
    (k.registry?.syncWished ?? 0) > 0 &&
    own.obs?.names !== holdNames &&
    !e.sent.has('hold')
  ) {
    if (send(k, turn, own, { kind: 'set-names', names: holdNames })) e.sent.add('hold');
  }
  if (followsUnfinished(k, turn, e, self)) return;
  const others = held.filter((voter) => voter.kind === 'node' && voter.name !== k.settings.name);
  const pointing = mayPoint(k, turn, e, others);
  for (const voter of others) freezeOne(k, turn, e, voter, self, pointing);
  for (const witness of ballotWitnesses(k, turn, e.epoch)) e.balloted.add(witness);
  // While the others switch over, what the promotion needs to know.
  if (e.cause === 'failover' && !e.wishRead) send(k, turn, own, { kind: 'read-wish' });
  // Before everything here is replayed its registry row may not be its last one.
  if (own.obs === null || !isSettled(own.obs)) return waitForReplay(k, turn, e);
  const ahead = nodeAhead(k, e);
  if (ahead !== null) return yieldOrCatchUp(k, turn, e, ahead);
  const missing = others.filter((voter) => !e.frozen.has(voter.name));
  if (missing.length > 0 && !due(k, turn, e.phaseAt + freezeBoundMs)) return;
  settle(k, turn, e, others.length - missing.length);
}

/** Every held voter is looked at once more with its vote in hand: what was seen before, somebody else may have changed. */
function lookAtHeld(k: Keeper, turn: Turn, e: Election, held: readonly Voter[]): boolean {
  let all = true;
  for (const voter of held) {
    const link = linkOf(k, voter.name);
    if (link === undefined || isFresh(e, link)) continue;
    observe(k, turn, link, 0);
    all = false;
  }
  return all;
}

function keepMaster(k: Keeper, turn: Turn, e: Election, held: number): void {
  const epoch = k.registry?.epoch ?? 0;
  note(k, turn, 'lease-kept', { held, voters: votersOf(k).length, epoch });
  won(k, turn, e);
}

/** All frozen: own replay done, registry read after it, the old master silent, nobody missing. */
function settle(k: Keeper, turn: Turn, e: Election, frozen: number): void {
  const own = ownLink(k);
  observe(k, turn, own, 3);
  const { obs } = own;
  if (obs === null || obs.registry === null || !seenSince(own, e.phaseAt)) return;
  const registry = rowInForce(k, obs.registry);
  if (e.cause === 'failover' && forbidsPromotion(registry, k.settings.name, obs)) {
    note(k, turn, 'election-aborted', { why: 'the cluster is paused' });
    return abandon(k, turn, e, k.settings.keepaliveTimeMs);
  }
  if (!standsBehind(k, turn, e, obs)) return waitForMajority(k, turn, e);
  if (e.cause === 'claim' && [...e.frozen].some((name) => own.obsAt < (linkOf(k, name)?.obsDoneAt ?? 0)))
    return;
  if (e.cause === 'failover' && !registry.nodes.some(({ name }) => name === k.settings.name)) {
    note(k, turn, 'election-aborted', { why: 'this node was removed from the registry' });
    return abandon(k, turn, e, k.settings.keepaliveTimeMs);
  }
  if (oldMasterAnswers(k, turn, e) || awaitLease(k, turn, e)) return;
  if (awaitLateRivals(k, turn, e, registry)) return;
  const heldNames = new Set(heldVoters(k).map((voter) => voter.name));
  const here = new Set([...e.frozen, k.settings.name].filter((name) => heldNames.has(name)));
  const formerHere = formerMasterIsHere(k, e, registry, here);
  if (!formerHere && !e.lossAccepted && wasLeftBehind(k, turn, e, registry, obs)) return;
  const verdict = restriction(registry, here, formerHere);
  if (!verdict.satisfied && !e.lossAccepted) {
    const awaited = verdict.awaited.join(', ');
    const members = `{${registry.syncMembers.join(', ')}}`;
    note(k, turn, 'election-blocked', { have: verdict.have, need: verdict.need, members, awaited });
    if (e.cause === 'claim') return failClaim(k, turn, `acknowledged commits may be on ${awaited}`);
    return abandon(k, turn, e, randomBetween(k, 500, 1500), awaited);
  }
  note(k, turn, 'nodes-frozen', {
    frozen,
    tookMs: Math.round(k.now - e.phaseAt),
    lsn: formatLsn(obs.received),
  });
  enterPhase(k, e, firstOfPromotion(k, e));
}

/** Somebody was elected since: this election was about another master. */
function newerEpoch(k: Keeper, turn: Turn, e: Election): void {
  const master = k.registry?.master ?? 'nobody';
  if (e.cause === 'claim') return failClaim(k, turn, `${master} is master of epoch ${k.registry?.epoch}`);
  note(k, turn, 'newer-master', { master, epoch: k.registry?.epoch ?? 0 });
  abandon(k, turn, e, randomBetween(k, 50, 150));
}

/**
 * Sync off: nothing says how much the master had beyond this node. But a witness that keeps a newer row says that the
 * master had gone on without it, T long or more, and with no other node to compare with only an operator may accept that.
 */
function wasLeftBehind(k: Keeper, turn: Turn, e: Election, registry: Registry, obs: Observation): boolean {
  if (registry.syncWished > 0 || obs.registry === null) return false;
  const ahead = witnessAhead(k, obs.registry);
  if (ahead === null) return false;
  const awaited = registry.master ?? 'the master';
  const rowOf = (row: Registry) => `${row.epoch}.${row.version}`;
  const details = { witness: ahead.voter, theirs: rowOf(ahead.row), ours: rowOf(obs.registry), awaited };
  note(k, turn, 'election-left-behind', details);
  abandon(k, turn, e, randomBetween(k, 500, 1500), awaited);
  return true;
}

/**
 * A majority that carries this election's ballot and whose logs can be compared with this one's: any later majority meets
 * it, so that an established row is never missed and no epoch is fought for twice.
 */
function standsBehind(k: Keeper, turn: Turn, e: Election, ours: Observation): boolean {
  const behind = heldVoters(k).filter((voter) => {
    if (voter.name === k.settings.name) return true;
    if (voter.kind === 'witness') return e.balloted.has(voter.name);
    const link = linkOf(k, voter.name);
    if (!link?.obs) return false;
    if (e.balloted.has(voter.name) && isComparable(link.obs, ours)) return true;
    observe(k, turn, link, 10);
    return false;
  });
  return behind.length >= neededVotes(k);
}

function waitForMajority(k: Keeper, turn: Turn, e: Election): void {
  if (!due(k, turn, e.phaseAt + catchUpBoundMs)) return;
  note(k, turn, 'election-aborted', { why: 'less than a majority can follow or be compared' });
  if (e.cause === 'claim') return failClaim(k, turn, 'less than a majority can follow or be compared');
  abandon(k, turn, e, randomBetween(k, 500, 1500));
}

/** Replay that does not end (paused, conflicts) is helped once; after a bound the votes are given back. */
function waitForReplay(k: Keeper, turn: Turn, e: Election): void {
  observe(k, turn, ownLink(k), 5);
  if (due(k, turn, e.phaseAt + catchUpBoundMs)) {
    note(k, turn, 'election-aborted', { why: 'replay of what was received does not end' });
    return abandon(k, turn, e, randomBetween(k, 500, 1500));
  }
  if (
    k.now - e.phaseAt > resumeAfterMs &&
    !e.sent.has('own resumed') &&
    send(k, turn, ownLink(k), { kind: 'resume-replay' })
  ) {
    e.sent.add('own resumed');
  }
}

/** One more poll of the old master: if it answers as the newest epoch's master, it stays. */
function oldMasterAnswers(k: Keeper, turn: Turn, e: Election): boolean {
  if (e.oldMaster === null || e.oldMaster === k.settings.name) return false;
  const link = linkOf(k, e.oldMaster);
  if (link === undefined || link.session !== 'open') return false;
  if (!seenSince(link, e.phaseAt)) {
    observe(k, turn, link, 5);
    return !due(k, turn, e.phaseAt + pollDeadlineMs(k.settings));
  }
  if (link.obs?.inRecovery !== false || link.obs.registry?.epoch !== k.registry?.epoch) return false;
  note(k, turn, 'election-aborted', { why: `${e.oldMaster} answers as master` });
  abandon(k, turn, e, randomBetween(k, 200, 500));
  return true;
}

/** A follow that was answered: everything asked for from now on shows its effect. */
export function ingestFreeze(e: Election, arrived: Arrived): void {
  if (arrived.command.kind === 'follow') e.frozen.delete(arrived.voter);
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
    return obs ? Math.max(obs.ballot, obs.registry?.epoch ?? 0) : 0;
  });
  const known = registry?.epoch ?? 0;
  e.epoch = Math.max(known, ...seen) + 1;
  e.keepEpoch =
    e.cause === 'claim' &&
    registry?.master === k.settings.name &&
    ownLink(k).obs?.registry?.epoch === known &&
    e.epoch === known + 1 &&
    held.length === votersOf(k).length &&
    isPromiseSeen(k) &&
    // What is held back has to be let go by the way that ends with the names.
    ((registry?.syncWished ?? 0) > 0 || ownLink(k).obs?.names !== holdNames);
  return e.keepEpoch;
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
