/** A worker that is told to stop: its votes go with its sessions. Nothing is stopped or fenced here. */
import { releaseVotes } from './lease.js';
import type { Keeper } from './state.js';
import { newTurn, type Turn } from './turn.js';

export function releaseAllOnStop(k: Keeper): Turn {
  const turn = newTurn();
  releaseVotes(k, turn);
  return turn;
}
