/** Established = on a majority of the voters: flushed, as the master's pg_stat_replication shows, or in the row of a witness. */
import type { Awaited, SyncRow } from './effects.js';
import { heldVoters, neededVotes } from './lease.js';
import { ownLink, votersOf } from './links.js';
import type { Lsn } from './lsn.js';
import type { Keeper } from './state.js';
import type { Registry } from './types.js';
import { keepersOf } from './witness.js';

/** Names of the nodes that have flushed `lsn`, this master included. */
export function flushedBy(k: Keeper, lsn: Lsn): ReadonlySet<string> {
  const obs = ownLink(k).obs;
  const names = new Set<string>([k.settings.name]);
  for (const row of obs?.replication ?? []) {
    if (row.state === 'streaming' && row.flushLsn !== null && row.flushLsn >= lsn) names.add(row.name);
  }
  return names;
}

/** The look that shows `lsn` on a majority and on enough of the set. */
export function awaitFlush(k: Keeper, lsn: Lsn, sync: SyncRow): Awaited {
  // Witnesses that are in hand are told of the row meanwhile.
  const witnesses = heldVoters(k).filter(({ kind }) => kind === 'witness').length;
  const standbys = neededVotes(k) - 1 - witnesses;
  return { kind: 'flushed', lsn, count: Math.max(standbys, sync.needed) };
}

/** Judged by rows asked for after `since`, so that an old look cannot establish a new write. */
export function isEstablished(k: Keeper, lsn: Lsn, since: number, row: Registry): boolean {
  const link = ownLink(k);
  if (link.obs === null || link.obsAt < since) return false;
  const flushed = flushedBy(k, lsn);
  const nodes = votersOf(k).filter((voter) => voter.kind === 'node' && flushed.has(voter.name));
  return nodes.length + keepersOf(k, row).length >= neededVotes(k);
}
