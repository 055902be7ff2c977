/**
 * One step of the keeper: take an event in, decide, hand out effects and reasons. Dispatch only; no decision here.
 * Time is the worker's monotonic clock in ms; a wake-up is asked for in `wakeAt`.
 */
import { decideElection, ingestElection } from './election/election.js';
import { startElection } from './election/election-round.js';
import { newMaster } from './election/new-master.js';
import { forgetForced, ingestWord } from './election/operator-word.js';
import type { KeeperEvent } from './events.js';
import { notePools, watchPools } from './handover/pools.js';
import {
  heartbeatMs,
  ingestLink,
  masterLink,
  matchLinks,
  observe,
  openLinks,
  ownLink,
  seenSince,
  voterNamed,
  votersOf,
} from './links.js';
import {
  decideDown,
  enterDown,
  enterStandby,
  ingestDown,
  lapseWhileDown,
  mustFence,
  retire,
} from './own-server/own-server.js';
import { decideRejoin, ingestRejoin } from './own-server/rejoin.js';
import { trackPause } from './pause.js';
import { decideMaster, ingestMaster, masterState } from './roles/master.js';
import { decideStandby, standbyState } from './roles/standby.js';
import type { Arrived, Keeper } from './state.js';
import { isIdle, newTurn, note, send, type Turn } from './turn.js';
import { leaseMarginMs } from './types.js';
import { finishReleases, hasLease, ingestVote, releaseVotes, renewVotes } from './votes/lease.js';
import { warnOfTwoNodes } from './votes/two-nodes.js';
import { isPromiseSeen } from './votes/witness.js';
import { ingestHearing, ingestIndirectAnswer } from './watch/suspicion.js';

/** Role changes within one step: more than this many in a row would be a loop without an event. */
const roleChangesPerStep = 8;

export function step(k: Keeper, event: KeeperEvent, now: number): Turn {
  if (now < k.now) throw new Error('invariant: monotonic time went backwards');
  if (now - k.wakeAt > leaseMarginMs(k.settings) / 2) k.lateAt = now;
  k.now = now;
  const turn = newTurn();
  const arrived = ingest(k, turn, event);
  finishReleases(k, turn);
  matchLinks(k, turn);
  forgetIfRemoved(k, turn);
  trackPause(k, turn);
  decideUntilStable(k, turn);
  forgetForced(k);
  void arrived;
  warnOfTwoNodes(k, turn);
  watchPools(k, turn);
  renewVotes(k, turn);
  report(k, turn);
  openLinks(k, turn);
  listen(k, turn);
  k.wakeAt = turn.wakeAt;
  return turn;
}

function ingest(k: Keeper, turn: Turn, event: KeeperEvent): Arrived | null {
  if (event.kind === 'settings') {
    k.settings = event.settings;
    // A shorter T is not held against what was asked for at the old pace.
    if (k.role.kind === 'master') k.role.ownAliveAt = k.now;
  }
  if (event.kind === 'hint') for (const link of k.links.values()) hintLink(k, link.voter);
  if (event.kind === 'hook-done' && event.ran) {
    const { hook, event: cause, detail } = event;
    note(k, turn, event.ok ? 'command-done' : 'command-failed', { hook, event: cause, detail });
  }
  notePools(k, turn, event);
  const arrived = ingestLink(k, turn, event);
  if (arrived !== null) {
    ingestVote(k, turn, arrived);
    ingestReport(k, arrived);
    ingestWord(k, arrived);
    ingestHearing(k, arrived);
    forgetDroppedSchema(k, turn, arrived);
  }
  const { role } = k;
  switch (role.kind) {
    case 'standby':
      if (event.kind === 'indirect-answer' && role.suspicion?.round === event.round) {
        ingestIndirectAnswer(role.suspicion, event.via, event.sees);
      }
      break;
    case 'electing':
      ingestElection(k, turn, role, event, arrived);
      break;
    case 'master':
      ingestMaster(k, turn, role, event, arrived);
      break;
    case 'down':
      ingestDown(k, turn, role, event);
      break;
    case 'rejoining':
      ingestRejoin(k, turn, role, event);
      break;
    case 'starting':
    case 'idle':
      break;
  }
  return arrived;
}

/** After a hint the own server and the master are read again at once. */
function hintLink(k: Keeper, voter: string): void {
  if (voter !== k.settings.name && voter !== k.registry?.master) return;
  const link = k.links.get(voter);
  if (link !== undefined) link.obsAt = Math.min(link.obsAt, k.now - k.settings.keepaliveTimeMs);
  if (k.role.kind === 'master') k.role.wishAt = Number.NEGATIVE_INFINITY;
}

function forgetDroppedSchema(k: Keeper, turn: Turn, arrived: Arrived): void {
  if (arrived.voter !== k.settings.name || arrived.answer.kind !== 'observed') return;
  if (arrived.answer.observation.registry !== null || k.registry === null) return;
  k.registry = null;
  note(k, turn, 'removed');
  releaseVotes(k, turn);
  k.role = { kind: 'idle' };
}

function isRegistered(k: Keeper): boolean {
  return voterNamed(k, k.settings.name) !== undefined;
}

/** Writable in an epoch that is over, and no node any more: it must not be left like that. */
function isLeftover(k: Keeper): boolean {
  const { obs } = ownLink(k);
  if (obs === null || obs.inRecovery || obs.registry === null || k.registry === null) return false;
  return k.registry.epoch > obs.registry.epoch && k.registry.master !== k.settings.name;
}

function forgetIfRemoved(k: Keeper, turn: Turn): void {
  if (k.registry === null || isRegistered(k) || k.role.kind === 'idle' || k.role.kind === 'starting') return;
  if (k.role.kind === 'down' && k.role.server === 'retiring') return;
  note(k, turn, 'removed');
  if (isLeftover(k) && k.role.kind !== 'down') return retire(k, turn);
  releaseVotes(k, turn);
  k.role = { kind: 'idle' };
}

function decideUntilStable(k: Keeper, turn: Turn): void {
  for (let i = 0; i < roleChangesPerStep; i++) {
    const before = k.role;
    decide(k, turn);
    if (k.role === before) return;
  }
}

function decide(k: Keeper, turn: Turn): void {
  const { role } = k;
  switch (role.kind) {
    case 'starting':
      return decideStarting(k, turn);
    case 'idle':
      observe(k, turn, ownLink(k), Math.min(1000, heartbeatMs(k)));
      if (isLeftover(k) && ownLink(k).session === 'open') return retire(k, turn);
      if (isRegistered(k) && ownLink(k).obs !== null) k.role = { kind: 'starting' };
      return;
    case 'standby':
      return decideStandby(k, turn, role);
    case 'electing':
      return decideElection(k, turn, role);
    case 'master':
      return decideMaster(k, turn, role);
    case 'down':
      return decideDown(k, turn, role);
    case 'rejoining':
      return decideRejoin(k, turn, role);
  }
}

/** The mode is found by looking, at start and whenever the server came back. */
function decideStarting(k: Keeper, turn: Turn): void {
  const own = ownLink(k);
  if (own.session === 'none' && own.failure !== null && own.failure !== 'speaks')
    return enterDown(k, turn, k.role.kind === 'starting' && k.role.wasMaster === true);
  if (own.session !== 'open') return;
  observe(k, turn, own, Math.min(1000, heartbeatMs(k)));
  if (own.obs === null || !Number.isFinite(own.obsAt)) return;
  if (!isRegistered(k)) {
    note(k, turn, 'not-registered');
    k.role = { kind: 'idle' };
    return;
  }
  if (own.obs.inRecovery) {
    note(k, turn, 'standby-connected', {
      master: k.registry?.master ?? '-',
      epoch: k.registry?.epoch ?? 0,
      voters: votersOf(k).length,
    });
    // A master that its administrator turned into a standby: its votes were kept for a restart.
    releaseVotes(k, turn);
    return enterStandby(k, k.now + pauseAfterBroken(k));
  }
  // The votes of a claim that its own session ended are no lease yet: what others have was not looked at with them in hand.
  const leads = k.leads && k.registry?.master === k.settings.name;
  if (leads && hasLease(k) && isPromiseSeen(k)) {
    k.role = newMaster(k, null, undefined);
    return;
  }
  if (k.role.kind === 'starting' && k.role.wasMaster === true && mustFence(k)) return lapseWhileDown(k, turn);
  startElection(k, turn, 'claim', k.now, own.obsAt);
}

/** 0, 100, 200, 400 ms ... 10 s: a command that fails each time must not become a busy loop. */
function pauseAfterBroken(k: Keeper): number {
  return k.brokenElections === 0 ? 0 : Math.min(10_000, 50 * 2 ** k.brokenElections);
}

/** Decisions and the state go to the master's tables, when its session has nothing better to do. */
function report(k: Keeper, turn: Turn): void {
  const link = k.role.kind === 'master' ? ownLink(k) : k.role.kind === 'standby' ? masterLink(k) : undefined;
  if (link?.obs === undefined || link.obs === null || link.obs.inRecovery || !isIdle(link)) return;
  // What was seen on an earlier session may be the master before its restart: it would end this one, and so on.
  if (!seenSince(link, link.openedAt)) return;
  if (k.role.kind === 'master' && (k.role.change !== null || k.role.pending !== null)) return;
  const state = stateName(k);
  if (k.journal.length === 0 && state === k.reportedState) return;
  send(k, turn, link, { kind: 'report', events: k.journal.slice(0, 50), state });
}

function ingestReport(k: Keeper, arrived: Arrived): void {
  if (arrived.command.kind !== 'report' || arrived.answer.kind !== 'done') return;
  const sent = new Set(arrived.command.events);
  const rest = k.journal.filter((record) => !sent.has(record));
  k.journal.splice(0, k.journal.length, ...rest);
  k.reportedState = arrived.command.state;
}

function listen(k: Keeper, turn: Turn): void {
  const master = k.registry?.master ?? null;
  const conninfo = master === null ? null : (k.links.get(master)?.conninfo ?? null);
  if (k.listening.voter === master && k.listening.conninfo === conninfo) return;
  k.listening = { voter: master, conninfo };
  turn.effects.push({
    kind: 'listen',
    voter: master,
    conninfo: master === k.settings.name ? null : conninfo,
  });
}

/** The original's state names, and ours. */
export function stateName(k: Keeper): string {
  const { role } = k;
  const writable = ownLink(k).obs?.inRecovery === false;
  switch (role.kind) {
    case 'starting':
    case 'idle':
      return writable ? 'master:ready' : 'standby:ready';
    case 'standby':
      return standbyState(k, role);
    case 'electing':
      return role.cause === 'claim' ? 'master:ready' : 'standby:electing';
    case 'master':
      return masterState(k, role);
    case 'down':
      return role.server === 'retiring' ||
        role.server === 'retire-again' ||
        role.server === 'retired' ||
        role.server === 'starting'
        ? 'fenced'
        : 'unreachable';
    case 'rejoining':
      return 'rejoining';
  }
}
