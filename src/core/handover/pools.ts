/**
 * PgBouncer around a switchover: clients are paused before anything is given away, and whoever is master afterwards lets them go on. A
 * pool that stays paused for ever is the worst that can come of it, so the pause is made within an open request only, every master
 * that finds such a request open resumes, and the worker that paused keeps a deadline of its own.
 */
import type { KeeperEvent } from '../events.js';
import type { Keeper } from '../state.js';
import { due, note, type Turn } from '../turn.js';
import { failoverTimeMs } from '../types.js';

/** T for the stop, T for the target, and time for its after_command: then clients had better see errors than nothing. */
const lastResortInT = 4;

export function namesPools(k: Keeper): boolean {
  return k.settings.poolPauseMs > 0;
}

/** From here on they count as paused, whatever the answer is: it may get lost. */
export function pausePools(k: Keeper, turn: Turn, request: number): void {
  const epoch = k.registry?.epoch ?? 0;
  k.poolsPaused = { request, epoch, until: k.now + lastResortInT * failoverTimeMs(k.settings) };
  turn.effects.push({ kind: 'pause-pools', deadlineMs: k.settings.poolPauseMs });
}

/** Harmless where they are not paused. */
export function resumePools(k: Keeper, turn: Turn): void {
  k.poolsPaused = null;
  turn.effects.push({ kind: 'resume-pools' });
}

/**
 * The next master resumes, and then ends the request. Seen ended: once more, since a master that never got the row of the request
 * has not resumed. Never seen: after the deadline.
 */
export function watchPools(k: Keeper, turn: Turn): void {
  const { poolsPaused: paused, registry } = k;
  if (paused === null) return;
  const isNewer = (registry?.epoch ?? 0) > paused.epoch;
  const isOpen = registry?.nodes.some(({ request }) => request?.id === paused.request) === true;
  if (isNewer && !isOpen) return resumePools(k, turn);
  if (!due(k, turn, paused.until)) return;
  note(k, turn, 'pools-paused-too-long', { forMs: lastResortInT * failoverTimeMs(k.settings) });
  resumePools(k, turn);
}

export function notePools(k: Keeper, turn: Turn, event: KeeperEvent): void {
  if (event.kind === 'pools-paused' && !event.ok) k.poolsPaused = null;
  if (event.kind !== 'pools-resumed') return;
  const { ok, detail, resumed, named } = event;
  if (!ok) note(k, turn, 'pools-resume-failed', { detail });
  else if (resumed > 0) note(k, turn, 'pools-resumed', { resumed, named });
}
