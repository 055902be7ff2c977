/**
 * A worker that is told to stop. Nothing is stopped or fenced here: beside a master its guard stays, and ends the server
 * when the lease is over and no worker has come back. Else the server would go on unguarded beside the next master.
 */
import { guardOrder } from './guard-deadline.js';
import type { Keeper } from './state.js';
import { newTurn, note, type Turn } from './turn.js';
import { releaseVotes } from './votes/lease.js';

export interface Stop {
  readonly turn: Turn;
  readonly guardStays: boolean;
}

/**
 * The votes of a server that may be writable are not given back, they end with the worker's sessions: a voter that shows
 * a session of this worker without its lock says that this worker knows the loss and has acted on it.
 */
export function stopKeeper(k: Keeper, now: number): Stop {
  k.now = now;
  const turn = newTurn();
  const order = guardOrder(k);
  if (order.kind === 'stand-down') {
    releaseVotes(k, turn);
    return { turn, guardStays: false };
  }
  if (order.kind === 'end-at')
    note(k, turn, 'master-left', { leftMs: Math.max(0, Math.round(order.at - k.now)) });
  return { turn, guardStays: true };
}
