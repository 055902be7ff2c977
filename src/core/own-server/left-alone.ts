/** A dead server that its people look after: its worker starts nothing and brings nothing back, in maintenance and in a pause. */
import { handoverIn, isInMaintenance, pauseOf } from '../plan.js';
import type { Keeper, Role } from '../state.js';
import { due, note, type Turn } from '../turn.js';

const lookAgainMs = 500;

/** Null = the worker starts it. */
export function whyNotStarted(k: Keeper): string | null {
  if (isInMaintenance(k.registry, k.settings.name)) return 'maintenance';
  const paused = pauseOf(k.registry) !== null && k.registry?.master === k.settings.name;
  // It gave its place away itself: that is no failure to leave alone.
  return paused && handoverIn(k.registry) === null ? 'the cluster is paused' : null;
}

/** Whoever works on it starts it; looked at again and again. */
export function leaveAlone(k: Keeper, turn: Turn, role: Extract<Role, { kind: 'down' }>): void {
  if (role.saidLeft !== true)
    note(k, turn, 'server-left-alone', { what: 'down', why: whyNotStarted(k) ?? '-' });
  role.saidLeft = true;
  if (role.server === 'unknown') role.retryAt = k.now + lookAgainMs;
  else due(k, turn, k.now + lookAgainMs);
}
