/**
 * The server beside this worker: lost, crashed, frozen, fenced, started again. What is
 * decided here never needs a write on any server.
 */

import type { KeeperEvent } from '../events.js';
import {
  decideHandoverStop,
  type HandoverStep,
  ingestHandoverStop,
  isHandingOver,
} from '../handover/handover-stop.js';
import { endSession, livingMaster, ownLink, votersOf } from '../links.js';
import { isLeftAlone } from '../pause.js';
import type { Keeper, Role } from '../state.js';
import { due, note, type Turn } from '../turn.js';
import { failoverTimeMs, holdNames, pollDeadlineMs } from '../types.js';
import { hasLease, heldVoters, neededVotes, releaseVotes } from '../votes/lease.js';
import { watchVoters } from '../watch/looking.js';
import { leaveAlone, whyNotStarted } from './left-alone.js';
import { enterRejoin, growingPauseMs, lookAnew } from './rejoin.js';

type Down = Extract<Role, { kind: 'down' }>;

/** The others are electing now; a server that comes up fenced is of no use to them before they are done. */
const restartPauseMs = 500;
/** Ending the own server is tried again so soon at the latest: the votes are kept until it has worked. */
const longestRetirePauseMs = 5000;

/**
 * While sync is wished the names are never empty on a server that may only come back as a standby. A worker that was started beside
 * a dead server does not know the wish, and that server may have been degraded: where sync is off its master takes the hold away.
 */
function fencedNames(k: Keeper): string | null {
  return k.registry === null || k.registry.syncWished > 0 ? holdNames : null;
}

export function enterStandby(k: Keeper, suspectAfter: number): void {
  k.role = {
    kind: 'standby',
    suspicion: null,
    suspectAfter,
    strayedSince: null,
    missed: null,
    deadEndSince: null,
    saidStrayed: false,
    receiverEndedAt: Number.NEGATIVE_INFINITY,
    heldAt: Number.NEGATIVE_INFINITY,
    blocked: null,
  };
}

/** The own session is gone: find out what became of the server. */
export function enterDown(k: Keeper, turn: Turn, wasMaster: boolean): void {
  const link = ownLink(k);
  note(k, turn, 'server-lost', { failure: link.failure ?? '-', detail: link.detail });
  k.role = { kind: 'down', wasMaster, since: k.now, server: 'unknown', retryAt: k.now, tries: 0 };
  turn.effects.push({ kind: 'inspect-server' });
}

/**
 * Ends every process of the own server and marks its data directory, then (when asked) starts it as a standby. Until it is dead no old
 * session without the lock may say that this worker gave something up (isGivenUpBy): the next ones are new.
 */
export function retire(k: Keeper, turn: Turn): void {
  for (const link of k.links.values())
    if (link.vote === null && link !== ownLink(k)) endSession(k, turn, link);
  k.role = { kind: 'down', wasMaster: true, since: k.now, server: 'retiring', retryAt: k.now, tries: 0 };
  turn.effects.push({ kind: 'retire-server', names: fencedNames(k) });
}

/** The server answers again: whatever it is now, the role begins anew from what it shows. */
function back(k: Keeper, turn: Turn, wasMaster: boolean): void {
  note(k, turn, 'server-back');
  k.role = { kind: 'starting', wasMaster };
}

export function decideDown(k: Keeper, turn: Turn, role: Down): void {
  const link = ownLink(k);
  // The others are looked at all the while: who is master may have changed when this server comes back.
  watchVoters(k, turn, link);
  if (role.server === 'retiring' || role.server === 'starting') return;
  if (isHandingOver(role)) return afterHandover(k, turn, decideHandoverStop(k, turn, role));
  if (role.server === 'retire-again') {
    if (!due(k, turn, role.retryAt)) return;
    role.server = 'retiring';
    turn.effects.push({ kind: 'retire-server', names: fencedNames(k) });
    return;
  }
  if (link.session === 'open') return back(k, turn, role.wasMaster);
  const leftAlone = role.wasMaster && isLeftAlone(k);
  if (role.wasMaster && role.server === 'unknown' && !leftAlone && mustFence(k))
    return lapseWhileDown(k, turn);
  switch (role.server) {
    case 'unknown':
      if (due(k, turn, role.retryAt)) inspectAgain(k, turn, role);
      return;
    case 'stopped-clean':
      return decideStopped(k, turn, role);
    case 'crashed':
    case 'retired':
      if (whyNotStarted(k) !== null) return leaveAlone(k, turn, role);
      if (due(k, turn, role.retryAt)) {
        const master = livingMaster(k);
        // A rejoin that broke off may have left data that never start again: only another one helps.
        if (role.tries > 0 && k.rejoinTries > 0 && master !== undefined)
          return enterRejoin(
            k,
            turn,
            master,
            'rewind-or-copy',
            'the last one broke off and the server does not start',
          );
        role.server = 'starting';
        turn.effects.push({ kind: 'start-server', as: 'standby' });
      }
      return;
  }
}

function afterHandover(k: Keeper, turn: Turn, next: HandoverStep): void {
  if (next === 'back') back(k, turn, true);
  else if (next === 'retire') retire(k, turn);
}

/** Sync off and no lease: only the end of the server keeps it from acknowledging beside somebody else. */
export function mustFence(k: Keeper): boolean {
  return (k.registry?.syncNeeded ?? 0) === 0 && !hasLease(k);
}

export function lapseWhileDown(k: Keeper, turn: Turn): void {
  const held = heldVoters(k).length;
  const details = { held, voters: votersOf(k).length, needed: neededVotes(k) };
  note(k, turn, 'lease-lapsed', { ...details, what: 'fencing this server' });
  retire(k, turn);
}

/**
 * How long a master's server may say nothing. Others wait T after they last saw it, which may be keepalive_time before it
 * fell silent; with sync off it must be dead by then, since it acknowledges when it wakes up. With sync in effect: T.
 */
export function silenceBoundMs(k: Keeper): number {
  const failoverMs = failoverTimeMs(k.settings);
  if ((k.registry?.syncNeeded ?? 0) > 0) return failoverMs;
  return Math.max(failoverMs - k.settings.keepaliveTimeMs, k.settings.leaseTtlMs);
}

/** A server that runs but does not answer is ended, whatever it is doing. */
function inspectAgain(k: Keeper, turn: Turn, role: Down): void {
  const silentMs = k.now - ownLink(k).lastAlive;
  if (role.wasMaster && silentMs >= silenceBoundMs(k) && !isLeftAlone(k)) {
    note(k, turn, 'server-frozen', { silentMs: Math.round(silentMs) });
    return retire(k, turn);
  }
  // A crash is over within milliseconds, and the others wait for the votes; after a second it is something slower.
  const pauseMs = k.now - role.since < 1000 ? 15 : Math.min(500, k.settings.keepaliveTimeMs / 4);
  role.retryAt = k.now + pauseMs;
  turn.effects.push({ kind: 'inspect-server' });
}

/** Stopped by somebody: a master keeps its votes for T, since a restart is no failure; nobody is started unasked. */
function decideStopped(k: Keeper, turn: Turn, role: Down): void {
  const until = role.since + failoverTimeMs(k.settings);
  if (role.wasMaster && k.now >= until) return retire(k, turn);
  if (role.wasMaster) due(k, turn, until);
  if (due(k, turn, role.retryAt)) {
    role.retryAt = k.now + Math.min(500, k.settings.keepaliveTimeMs / 4);
    turn.effects.push({ kind: 'inspect-server' });
  }
}

export function ingestDown(k: Keeper, turn: Turn, role: Down, event: KeeperEvent): void {
  if (isHandingOver(role)) return afterHandover(k, turn, ingestHandoverStop(k, turn, role, event));
  switch (event.kind) {
    case 'server-inspected':
      return ingestInspection(k, turn, role, event.server, event.standby);
    case 'server-retired':
      if (!event.ok) {
        note(k, turn, 'server-retire-failed', { detail: event.detail });
        role.tries += 1;
        role.server = 'retire-again';
        role.retryAt = k.now + Math.min(longestRetirePauseMs, 50 * 2 ** role.tries);
        return;
      }
      note(k, turn, 'server-retired');
      releaseVotes(k, turn);
      // Dead for certain, whether or not the news has come through the socket yet.
      endSession(k, turn, ownLink(k));
      ownLink(k).obs = null;
      role.server = 'retired';
      role.retryAt = k.now + restartPauseMs;
      return;
    case 'server-started':
      if (event.ok) {
        note(k, turn, 'server-started', event.detail === '' ? {} : { detail: event.detail });
        lookAnew(k);
        return;
      }
      role.tries += 1;
      role.server = 'crashed';
      role.retryAt = k.now + growingPauseMs(role.tries);
      note(k, turn, 'server-start-failed', { detail: event.detail, retryMs: growingPauseMs(role.tries) });
      return;
    default:
      return;
  }
}

function ingestInspection(
  k: Keeper,
  turn: Turn,
  role: Down,
  server: 'running' | 'stopped-clean' | 'crashed',
  standby: boolean,
): void {
  if (role.server !== 'unknown' && role.server !== 'stopped-clean') return;
  if (server === 'crashed') {
    if (role.saidLeft !== true) note(k, turn, 'server-crashed');
    // Without standby.signal it would come up writable: it may only start as a standby that follows nobody.
    // Its people have T to start it as it is; then the votes are needed where somebody may overrule the pause.
    if (role.wasMaster && isLeftAlone(k) && k.now - role.since < failoverTimeMs(k.settings))
      return leaveAlone(k, turn, role);
    if (role.wasMaster || !standby) return retire(k, turn);
    role.server = 'crashed';
    role.retryAt = k.now + growingPauseMs(role.tries);
    return;
  }
  if (server === 'stopped-clean' && role.server === 'unknown') {
    if (role.wasMaster) note(k, turn, 'server-stopped', { waitMs: failoverTimeMs(k.settings) });
    role.server = 'stopped-clean';
  }
  if (server === 'running') role.server = 'unknown';
}

/** The master's own server must answer a *new* connection, or its worker keeps votes for a dead server. Asked twice in T at least. */
export function probeOwnServer(k: Keeper, turn: Turn, role: Extract<Role, { kind: 'master' }>): void {
  const everyMs = Math.min(k.settings.keepaliveTimeMs, failoverTimeMs(k.settings) / 2);
  if (!due(k, turn, role.probedAt + everyMs)) return;
  role.probedAt = k.now;
  turn.effects.push({
    kind: 'probe-own',
    deadlineMs: Math.min(k.settings.keepaliveTimeMs, 2 * pollDeadlineMs(k.settings)),
  });
}
