/** A standby's decisions: whom it hears, and when the master is gone. */

import { startElection } from '../election/election-round.js';
import { heedOperator } from '../election/operator-word.js';
import { linkOf, livingMaster, masterLink, ownLink, seenSince, votersOf } from '../links.js';
import { enterDown } from '../own-server/own-server.js';
import { isInMaintenance, priorityOf } from '../plan.js';
import type { Keeper, Role } from '../state.js';
import { due, note, send, type Turn } from '../turn.js';
import { failoverTimeMs, holdNames, type Observation } from '../types.js';
import { releaseVotes } from '../votes/lease.js';
import { isTwoNodeAuto } from '../votes/two-nodes.js';
import { followsNobody } from '../watch/following.js';
import { watchVoters } from '../watch/looking.js';
import { isMyTurn, isOutOfTurn, yieldsUntil } from '../watch/succession.js';
import { judgeSuspicion, watchMaster } from '../watch/suspicion.js';
import { comeBack, endWrongReceiver, followsDeadEnd, leaveDeadEnd } from './coming-back.js';

type Standby = Extract<Role, { kind: 'standby' }>;

export function decideStandby(k: Keeper, turn: Turn, role: Standby): void {
  const own = ownLink(k);
  if (own.session !== 'open') {
    if (own.session === 'none' && own.failure !== null && own.failure !== 'speaks')
      return enterDown(k, turn, false);
    return;
  }
  watchVoters(k, turn);
  const { obs } = own;
  if (obs === null || !seenSince(own, Number.NEGATIVE_INFINITY)) return;
  if (!obs.inRecovery) return startElection(k, turn, 'claim', k.now, k.now);
  if (k.registry === null || !votersOf(k).some((voter) => voter.name === k.settings.name)) return;
  restUnderHold(k, turn, role, obs);
  lengthenRetry(k, turn, obs);
  if (followsNobody(obs)) endWrongReceiver(k, turn, role, obs);
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
    note(k, turn, 'election-aborted', { why: 'priority 0 here: this node never stands by itself' });
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

/** For an election it is short. A standby whose source stays away would ask for it, and log that, a hundred times a second. */
function lengthenRetry(
  k: Keeper,
  turn: Turn,
  { retryOverride, walReceiver, primaryConninfo }: Observation,
): void {
  if (!retryOverride || walReceiver !== null) {
    k.shortRetry = null;
    return;
  }
  if (k.shortRetry?.conninfo !== primaryConninfo) k.shortRetry = { conninfo: primaryConninfo, since: k.now };
  if (!due(k, turn, k.shortRetry.since + failoverTimeMs(k.settings))) return;
  if (send(k, turn, ownLink(k), { kind: 'reset-retry' })) k.shortRetry = null;
}

function ownPriority(k: Keeper): number {
  return priorityOf(k.registry, k.settings.name, k.settings.priority);
}

/** State name of a standby: connected while its master answers, alone when less than a majority does. */
export function standbyState(k: Keeper, role: Standby): string {
  const own = ownLink(k);
  if (isInMaintenance(k.registry, k.settings.name)) return 'maintenance';
  if (own.obs?.fenced === true) return 'fenced';
  if (role.blocked !== null) return 'standby:blocked';
  const isMasterThere = masterLink(k)?.session === 'open';
  // Also while it suspects: without a majority it does so again and again, and that is all that is to be known.
  if (!isMasterThere && !reachesMajority(k)) return 'standby:alone';
  if (role.suspicion !== null) return 'standby:suspecting';
  return isMasterThere ? 'standby:connected' : 'standby:ready';
}

function reachesMajority(k: Keeper): boolean {
  const reachable = votersOf(k).filter((voter) => linkOf(k, voter.name)?.session === 'open').length;
  return reachable * 2 > votersOf(k).length;
}
