/**
 * From "nothing can be missing" to "this node is master": fencing_command, promote under hold, write the epoch, wait
 * until it is established, only then the real names. After pg_promote was sent there is no way back but fencing.
 */

import type { KeeperEvent } from '../events.js';
import { linkOf, observe, ownLink, seenSince, voterNamed, votersOf } from '../links.js';
import { formatLsn } from '../lsn.js';
import { retire } from '../own-server/own-server.js';
import { isHandedTo } from '../plan.js';
import { unfinishedOf } from '../ranking.js';
import type { Arrived, Election, ElectionPhase, Keeper } from '../state.js';
import { describeSync } from '../sync/sync-plan.js';
import { due, isIdle, note, randomBetween, send, type Turn } from '../turn.js';
import { holdNames, type Observation } from '../types.js';
import { ballotText, type Origin } from '../votes/ballot.js';
import { hasLease, heldVoters, neededVotes } from '../votes/lease.js';
import { nowhereConninfo } from '../watch/following.js';
import { abandon, enterPhase, isFrozen } from './election-round.js';
import { keepWaiting, mayWait, walkEpoch, walkEstablish, walkNames, willSync } from './new-epoch.js';
import { newMaster } from './new-master.js';
import { hasLetGo } from './voting.js';

/** pg_promote waits for replay, which is done by then; disks may be slow. */
const promoteBoundMs = 30_000;
/** What was frozen is found so once more within that time, or the election begins anew. */
const renewBoundMs = 3000;

/** Nothing can be missing: with which phase the promotion begins. */
export function firstOfPromotion(k: Keeper, e: Election): ElectionPhase {
  if (e.cause === 'claim') return 'epoch';
  // Its worker has ended its server and given the votes back: there is nothing to fence.
  const given =
    e.oldMaster !== null && isHandedTo(k.registry, k.settings.name) && hasLetGo(k, e, e.oldMaster);
  const wantsHook = k.settings.fencingCommand && e.oldMaster !== k.settings.name && !given;
  return wantsHook ? 'fencing-command' : 'promote';
}

export function walkPromotion(k: Keeper, turn: Turn, e: Election): void {
  const fenceable =
    e.sent.has('promote') || e.phase === 'epoch' || e.phase === 'establish' || e.phase === 'names';
  if (!hasLease(k)) {
    if (e.phase === 'establish' && mayWait(k)) return keepWaiting(k, turn, 'the votes are lost');
    if (fenceable) return fail(k, turn, 'the votes are lost');
    note(k, turn, 'election-aborted', { why: 'the votes are lost' });
    return abandon(k, turn, e, randomBetween(k, 50, 250));
  }
  if (!fenceable && !frozenHeld(k, e)) {
    note(k, turn, 'election-aborted', { why: 'a node that follows this one is out of hand' });
    return abandon(k, turn, e, randomBetween(k, 50, 250));
  }
  switch (e.phase) {
    case 'fencing-command':
      return askFencing(k, turn, e);
    case 'promote':
      return walkPromote(k, turn, e);
    case 'epoch':
      return walkEpoch(k, turn, e);
    case 'establish':
      return walkEstablish(k, turn, e);
    case 'names':
      return walkNames(k, turn, e);
    default:
      return;
  }
}

/** Nodes counted as frozen may not be in anybody else's hands until the promotion. */
function frozenHeld(k: Keeper, e: Election): boolean {
  const held = new Set(heldVoters(k).map((voter) => voter.name));
  return [...e.frozen].every((name) => held.has(name));
}

function fail(k: Keeper, turn: Turn, why: string): void {
  note(k, turn, 'promotion-failed', { why });
  retire(k, turn);
}

function askFencing(k: Keeper, turn: Turn, e: Election): void {
  if (e.hookAsked) return;
  e.hookAsked = true;
  const newMaster = k.settings.name;
  turn.effects.push({
    kind: 'run-hook',
    hook: 'fencing',
    event: 'fencing',
    oldMaster: e.oldMaster,
    newMaster,
    epoch: e.epoch,
  });
}

/** End sessions (recovery conflicts), hold, renew every vote once more, promote, see it leave recovery. */
function walkPromote(k: Keeper, turn: Turn, e: Election): void {
  const own = ownLink(k);
  if (e.sent.has('promote')) {
    observe(k, turn, own, 3, { kind: 'writable' });
    if (seenSince(own, e.phaseAt) && own.obs?.inRecovery === false) {
      note(k, turn, 'promoted', { tookMs: Math.round(k.now - e.phaseAt) });
      enterPhase(k, e, 'epoch');
      return walkEpoch(k, turn, e);
    }
    if (due(k, turn, e.phaseAt + promoteBoundMs))
      fail(k, turn, `still in recovery after ${promoteBoundMs} ms`);
    return;
  }
  prepareOwnServer(k, turn, e);
  // Asked for at once, so that the answers of the others come while the own server is busy.
  const renewed = allRenewed(k, turn, e);
  if (!renewed && due(k, turn, e.phaseAt + renewBoundMs)) {
    note(k, turn, 'election-aborted', { why: 'a node that followed this one does so no more' });
    return abandon(k, turn, e, randomBetween(k, 50, 250));
  }
  if (!renewed || !e.sent.has('end-sessions') || !isIdle(own)) return;
  const { registry } = k;
  const details = {
    epoch: e.epoch,
    lsn: formatLsn(own.obs?.received ?? (0n as never)),
    held: heldVoters(k).length,
    voters: votersOf(k).length,
    members: `{${registry?.syncMembers.join(', ') ?? ''}}`,
    needed: registry?.syncNeeded ?? 0,
  };
  const conninfo = nowhereConninfo(
    { name: k.settings.name },
    own.obs?.primaryConninfo ?? '',
    ballotText(e.epoch, originsOfPromotion(e, own.obs)),
  );
  if (!send(k, turn, own, { kind: 'promote', conninfo })) return;
  e.sent.add('promote');
  note(k, turn, 'promoting', details);
}

/**
 * Somebody may point this server elsewhere, under a ballot of theirs, before it has left recovery: then this tells whose
 * timeline it makes, beside what it has already without a row.
 */
function originsOfPromotion(e: Election, obs: Observation | null): readonly Origin[] {
  if (obs === null) return [];
  const promised = { timeline: obs.timeline + 1, epoch: e.epoch };
  const unfinished = unfinishedOf(obs);
  return unfinished === null ? [promised] : [unfinished, promised];
}

/** The wish read, commits held, sessions ended that could block replay: one command after the other. */
function prepareOwnServer(k: Keeper, turn: Turn, e: Election): void {
  const own = ownLink(k);
  const mustHold = willSync(k, e) && own.obs?.names !== holdNames && !e.sent.has('hold');
  if (!e.wishRead) send(k, turn, own, { kind: 'read-wish' });
  else if (mustHold) {
    if (send(k, turn, own, { kind: 'set-names', names: holdNames })) e.sent.add('hold');
  } else if (!e.sent.has('end-sessions') && send(k, turn, own, { kind: 'end-sessions' }))
    e.sent.add('end-sessions');
}

/** A majority of the votes answered a renewal that was sent in this phase, on the sessions held since the vote. */
function allRenewed(k: Keeper, turn: Turn, e: Election): boolean {
  const self = voterNamed(k, k.settings.name);
  const renewed = heldVoters(k).filter((voter) => {
    const link = linkOf(k, voter.name);
    if (link === undefined || link.vote === null) return false;
    if (!e.frozen.has(voter.name)) {
      if (link.vote.renewedAt >= e.phaseAt) return true;
      send(k, turn, link, { kind: 'renew' });
      return false;
    }
    // A look renews as well, and shows that nobody has pointed it elsewhere meanwhile.
    if (self !== undefined && seenSince(link, e.phaseAt) && isFrozen(link, self, e.epoch)) return true;
    // Its receiver may just be starting anew under the ballot: once more.
    observe(k, turn, link, 5);
    return false;
  });
  const names = new Set(renewed.map((voter) => voter.name));
  return renewed.length >= neededVotes(k) && [...e.frozen].every((name) => names.has(name));
}

export function ingestPromotion(
  k: Keeper,
  turn: Turn,
  e: Election,
  event: KeeperEvent,
  arrived: Arrived | null,
): void {
  if (event.kind === 'hook-done' && event.hook === 'fencing' && e.phase === 'fencing-command') {
    if (event.ok) return enterPhase(k, e, 'promote');
    note(k, turn, 'fencing-command-failed', { detail: event.detail });
    return abandon(k, turn, e, Math.max(5000, k.settings.keepaliveTimeMs), 'fencing_command failed');
  }
  if (arrived === null || arrived.voter !== k.settings.name) return;
  const { answer, command } = arrived;
  if (answer.kind === 'wish') {
    e.file = answer.file;
    e.wishRead = true;
  }
  if (answer.kind === 'proven') e.holdProven = answer.proven;
  if (answer.kind === 'written' && (e.phase === 'epoch' || e.phase === 'establish')) {
    e.writtenLsn = answer.lsn;
    if (e.phase === 'epoch') enterPhase(k, e, 'establish');
  } else if (e.phase === 'names' && command.kind === 'set-names') won(k, turn, e);
}

/** Master: what was learned on the way is kept, hooks run, the others are told by the registry's own notification. */
export function won(k: Keeper, turn: Turn, e: Election): void {
  const { registry } = k;
  if (registry === null) throw new Error('invariant: nobody wins an election without a registry');
  const promoted = e.cause === 'failover';
  if (!e.keepEpoch) {
    const sync = e.sync === null ? '-' : describeSync(e.sync);
    const marks = Object.fromEntries([...e.marks].map(([phase, ms]) => [`${phase}Ms`, ms]));
    note(k, turn, 'master-ready', {
      epoch: e.epoch,
      sync,
      tookMs: Math.round(k.now - e.since),
      since: promoted ? 'the election began' : 'the claim began',
      ...marks,
    });
  }
  k.brokenElections = 0;
  k.leads = true;
  k.role = newMaster(k, promoted ? e.oldMaster : null, promoted ? e.file : undefined);
  if (promoted) {
    k.role.commandRuns = true;
    const newMasterName = k.settings.name;
    turn.effects.push({
      kind: 'run-hook',
      hook: 'after',
      event: 'promoted',
      oldMaster: e.oldMaster,
      newMaster: newMasterName,
      epoch: e.epoch,
    });
  }
}
