/**
 * What a worker looks after on its own server besides deciding: has the server reloaded its files, which objects are installed,
 * are there events too old to keep? On a session of its own, so that no vote ever waits for it. Failures change nothing.
 */
import type pg from 'pg';
import { queryWithDeadline } from './connect.js';
import { type InstalledSchema, installedSchema } from './schema-version.js';

export interface Upkeep {
  /** pg_conf_load_time(), as text. */
  readonly confLoadedAt: string;
  /** null = could not be read. */
  readonly schema: InstalledSchema | null;
  readonly deletedEvents: number;
}

/** Few enough to be deleted within milliseconds, whatever the disk does. */
export const eventBatch = 500;

/** Only the first rows are looked at: where nothing is old this costs the same however many there are. */
const deleteSql = `delete from pgkeeper.events e using (
    select f.id, f.at from (select id, at from pgkeeper.events order by id limit ${eventBatch}) f
    where f.at < clock_timestamp() - $1::double precision * interval '1 millisecond' offset 0) old
  where e.id = old.id`;

/** `retentionMs`: events that are older are deleted, a batch at most; null = nothing is deleted. */
export async function lookAfter(
  client: pg.Client,
  retentionMs: number | null,
  deadlineMs: number,
): Promise<Upkeep> {
  const asked = await queryWithDeadline(client, 'select pg_conf_load_time()::text as at', [], deadlineMs);
  const schema = await installedSchema(
    async (sql) => (await queryWithDeadline(client, sql, [], deadlineMs)).rows as Record<string, unknown>[],
  ).catch(() => null);
  return {
    confLoadedAt: String((asked.rows[0] as { at?: unknown } | undefined)?.at),
    schema,
    deletedEvents: retentionMs === null ? 0 : await deleteOld(client, retentionMs, deadlineMs).catch(() => 0),
  };
}

/** Never waits: neither for standbys nor for somebody's lock. */
async function deleteOld(client: pg.Client, retentionMs: number, deadlineMs: number): Promise<number> {
  const limits = `set synchronous_commit = local; set lock_timeout = '100ms'; set statement_timeout = ${deadlineMs}`;
  await queryWithDeadline(client, limits, [], deadlineMs);
  const deleted = await queryWithDeadline(client, deleteSql, [retentionMs], deadlineMs);
  return deleted.rowCount ?? 0;
}
