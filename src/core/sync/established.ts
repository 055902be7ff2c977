/** Established = on a majority of the voters: flushed, as the master's pg_stat_replication shows, or in the row of a witness. */
import type { Awaited, SyncRow } from '../effects.js';
import { observe, ownLink, votersOf } from '../links.js';
import type { Lsn } from '../lsn.js';
import type { Master } from '../master-state.js';
import type { Keeper } from '../state.js';
import type { Turn } from '../turn.js';
import { failoverTimeMs, type Observation, type Registry, type ReplicationRow } from '../types.js';
import { heldVoters, neededVotes } from '../votes/lease.js';
import { keepersOf } from '../votes/witness.js';

/** Names of the nodes that have flushed `lsn`, this master included. */
export function flushedBy(k: Keeper, lsn: Lsn): ReadonlySet<string> {
  const obs = ownLink(k).obs;
  const names = new Set<string>([k.settings.name]);
  for (const row of obs?.replication ?? []) if (hasFlushed(row, lsn)) names.add(row.name);
  return names;
}

function hasFlushed({ state, flushLsn }: ReplicationRow, lsn: Lsn): boolean {
  return state === 'streaming' && flushLsn !== null && flushLsn >= lsn;
}

/**
 * With sync off a node takes itself for left behind if a witness has a newer row than it. So whoever streams gets the row
 * first; one that has not flushed it within the bound counts as lost.
 */
export function hadItsTime(k: Keeper, lsn: Lsn, since: number, boundMs: number): boolean {
  const nodes = new Set(votersOf(k).map(({ name }) => name));
  const rows = (ownLink(k).obs?.replication ?? []).filter(({ name }) => nodes.has(name));
  return rows.every((row) => row.state !== 'streaming' || hasFlushed(row, lsn)) || k.now - since >= boundMs;
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

/** Every version of the row seen here is on its way to a majority or there. */
export function trackEstablished(k: Keeper, turn: Turn, m: Master, obs: Observation): void {
  const own = ownLink(k);
  const version = obs.registry?.version ?? -1;
  if (version !== m.establishedVersion && m.pending?.version !== version) {
    m.pending = { version, lsn: obs.received, since: own.obsDoneAt };
  }
  if (m.pending === null) return;
  if (obs.registry !== null && isEstablished(k, m.pending.lsn, m.pending.since, obs.registry)) {
    m.establishedVersion = m.pending.version;
    m.pending = null;
    return;
  }
  observe(k, turn, own, 20);
}

/** The row that this master reads on its own server (hadItsTime). */
export function mayWitnessesHave(k: Keeper, { pending }: Master): boolean {
  if (pending === null || (k.registry?.syncWished ?? 0) > 0) return true;
  return hadItsTime(k, pending.lsn, pending.since, failoverTimeMs(k.settings));
}
