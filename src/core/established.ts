/** Established = flushed by a majority of the voters, as the master's pg_stat_replication shows. */
import type { Awaited, SyncRow } from './effects.js';
import { neededVotes } from './lease.js';
import { ownLink, votersOf } from './links.js';
import type { Lsn } from './lsn.js';
import type { Keeper } from './state.js';

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
  return { kind: 'flushed', lsn, count: Math.max(neededVotes(k) - 1, sync.needed) };
}

/** Judged by rows asked for after `since`, so that an old look cannot establish a new write. */
export function isEstablished(k: Keeper, lsn: Lsn, since: number): boolean {
  const link = ownLink(k);
  if (link.obs === null || link.obsAt < since) return false;
  const flushed = flushedBy(k, lsn);
  return votersOf(k).filter((voter) => flushed.has(voter.name)).length >= neededVotes(k);
}
