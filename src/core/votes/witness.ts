/**
 * Voters without data. A witness lends its advisory lock and keeps one row: the newest registry row and the highest ballot
 * it was given by whoever held its vote. What nodes have in their WAL, a witness has in that row: so a row on it counts
 * like one that a node has flushed, and whoever takes its vote reads it before judging.
 */

import { linkOf, voterNamed, votersOf } from '../links.js';
import type { Keeper, Link } from '../state.js';
import { isIdle, send, type Turn } from '../turn.js';
import { compareRegistry, type Registry, type Voter } from '../types.js';
import { isVoteGood } from './lease.js';

/** Witnesses whose vote is held, also those that only ask to become voters. */
function heldWitnesses(k: Keeper): readonly Link[] {
  const held: Link[] = [];
  for (const link of k.links.values())
    if (link.obs !== null && isVoteGood(k, link) && voterNamed(k, link.voter)?.kind === 'witness')
      held.push(link);
  return held;
}

/** Does that witness keep this row, or a later one of the same epoch? */
export function keepsRow(k: Keeper, voter: Voter, row: Registry): boolean {
  const kept = linkOf(k, voter.name)?.obs?.registry ?? null;
  return voter.kind === 'witness' && kept?.epoch === row.epoch && compareRegistry(kept, row) >= 0;
}

/** Witnesses in force that keep this row. */
export function keepersOf(k: Keeper, row: Registry): readonly Voter[] {
  return votersOf(k).filter((voter) => keepsRow(k, voter, row));
}

/**
 * Gives the row to every held witness that has an older one. Only rows whose promise holds: a node that has a row in its
 * WAL has everything before it, a witness has the row alone, and a later candidate will believe it.
 */
export function tellWitnesses(k: Keeper, turn: Turn, row: Registry): void {
  for (const link of heldWitnesses(k)) {
    const kept = link.obs?.registry ?? null;
    if (!isIdle(link) || (kept !== null && compareRegistry(kept, row) >= 0)) continue;
    send(k, turn, link, { kind: 'write-witness', registry: row, ballot: 0 });
  }
}

/** Writes the ballot of this election on every held witness; gives the names of those that show it. */
export function ballotWitnesses(k: Keeper, turn: Turn, epoch: number): readonly string[] {
  const shown: string[] = [];
  for (const link of heldWitnesses(k)) {
    if (link.obs?.ballot === epoch) shown.push(link.voter);
    else if (isIdle(link)) send(k, turn, link, { kind: 'write-witness', registry: null, ballot: epoch });
  }
  return shown;
}

/** A held witness whose row is newer than the one this node has in its own WAL; of several the newest. */
export function witnessAhead(
  k: Keeper,
  ours: Registry,
): { readonly voter: string; readonly row: Registry } | null {
  let ahead: { readonly voter: string; readonly row: Registry } | null = null;
  for (const link of heldWitnesses(k)) {
    const row = link.obs?.registry ?? null;
    if (row !== null && compareRegistry(row, ahead?.row ?? ours) > 0) ahead = { voter: link.voter, row };
  }
  return ahead;
}

/**
 * The row to judge by: what this node has in its own WAL, or a held witness in its row; whatever is on a majority is there.
 * This worker may have read a newer one on a server that is gone since: nobody has what it promises.
 */
export function rowInForce(k: Keeper, ours: Registry): Registry {
  return witnessAhead(k, ours)?.row ?? ours;
}

/**
 * Was it seen that what this epoch's row promises holds? Before, no witness is told of it: a worker that finds the row on its
 * own server, with no witness that knows of it, must have it established like one just written.
 */
export function isPromiseSeen(k: Keeper): boolean {
  const { registry } = k;
  const witnesses = votersOf(k).filter(({ kind }) => kind === 'witness');
  if (registry === null || registry.syncNeeded === 0 || witnesses.length === 0) return true;
  return witnesses.some(({ name }) => linkOf(k, name)?.obs?.registry?.epoch === registry.epoch);
}
