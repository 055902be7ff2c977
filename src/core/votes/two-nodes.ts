/** Two nodes and nobody else: who may become master is decided by no majority. What is warned of then, and when. */

import { votersOf } from '../links.js';
import type { Keeper } from '../state.js';
import { due, note, type Turn } from '../turn.js';
import { failoverTimeMs, type Voter } from '../types.js';
import { majorityOf, neededVotes } from './lease.js';

export function areTwoNodes(voters: readonly Voter[]): boolean {
  return voters.length === 2 && voters.every((voter) => voter.kind === 'node');
}

/** With quorum = auto, which then keeps no guarantee. */
export function isTwoNodeAuto(k: Keeper): boolean {
  return areTwoNodes(votersOf(k)) && neededVotes(k) === 1;
}

/** Null = there is a third voter. */
export function twoNodesWarning(voters: readonly Voter[], quorum: 'auto' | 'strict'): string | null {
  if (!areTwoNodes(voters)) return null;
  return majorityOf(voters, quorum) === 1
    ? 'two nodes without a witness: no majority is possible, a split can give two masters and lose data; add a third node or a witness'
    : 'two nodes without a witness and quorum = strict: with one lost nobody takes writes; add a third node or a witness';
}

/** Told once, when it has been so for T: on the way to three nodes there are two for a moment. */
export function warnOfTwoNodes(k: Keeper, turn: Turn): void {
  if (!isTwoNodeAuto(k)) {
    k.twoNodesSince = null;
    return;
  }
  k.twoNodesSince ??= k.now;
  if (k.twoNodesSince === 'said') return;
  if (!due(k, turn, k.twoNodesSince + failoverTimeMs(k.settings))) return;
  k.twoNodesSince = 'said';
  note(k, turn, 'two-nodes');
}
