/**
 * Writing the registry: always on the session that holds the master's own vote, always with synchronous_commit = local
 * (a wait for standbys has no timeout), the row locked first and then read. Events are told by commands, too.
 */
import { Kysely, PostgresDialect, type PostgresPoolClient, sql, type Transaction } from 'kysely';
import type { SyncRow } from '../core/effects.js';
import type { Answer } from '../core/events.js';
import { parseLsn } from '../core/lsn.js';
import { isWarning, type ReasonCode, type ReasonRecord, sentence } from '../core/reasons.js';
import type { Voter } from '../core/types.js';
import { type RegistryJson, registryOf } from './observation.js';
import { CommandError, type SessionContext } from './session-context.js';
import type { Database } from './tables.js';

/** Kysely on the one session: every query goes where the vote is. */
function databaseOf(session: Pick<SessionContext, 'client'>): Kysely<Database> {
  // Forwarded, not inherited: pg.Client keeps its query queue in itself.
  const client = {
    query: (text: string, values: unknown[]) => session.client.query(text, values),
    release: () => undefined,
  } as unknown as PostgresPoolClient;
  const dialect = new PostgresDialect({ pool: { connect: async () => client, end: async () => undefined } });
  return new Kysely<Database>({ dialect }).withSchema('pgkeeper');
}

const lockTimeout = '55P03';

function isLockTimeout(error: unknown): boolean {
  return (error as { readonly code?: unknown } | null)?.code === lockTimeout;
}

/**
 * What cannot wait: an open transaction of somebody's psql that holds the row is ended when it idles, since the cluster
 * must not stand still for it. A second lock timeout is an error like any other.
 */
export async function written(
  session: SessionContext,
  change: (trx: Transaction<Database>) => Promise<void>,
): Promise<Answer> {
  try {
    return await writtenOnce(session, change);
  } catch (error) {
    if (!isLockTimeout(error)) throw error;
    await session.client.query(`select count(pg_terminate_backend(a.pid)) from pg_stat_activity a
      where a.pid <> pg_backend_pid() and a.state like 'idle in transaction%'
        and exists (select from pg_locks l where l.pid = a.pid and l.granted and l.locktype = 'relation'
          and l.relation in ('pgkeeper.cluster_state'::regclass, 'pgkeeper.node_info'::regclass))
        and exists (select from pg_roles me, pg_roles theirs where me.rolname = current_user and theirs.oid = a.usesysid
          and (me.rolsuper or not theirs.rolsuper))`);
    return writtenOnce(session, change);
  }
}

/** What can wait: when somebody holds the row, it is asked for again later. */
export async function writtenOrBusy(
  session: SessionContext,
  change: (trx: Transaction<Database>) => Promise<void>,
): Promise<Answer> {
  try {
    return await writtenOnce(session, change);
  } catch (error) {
    if (isLockTimeout(error)) return { kind: 'busy' };
    throw error;
  }
}

async function writtenOnce(
  session: SessionContext,
  change: (trx: Transaction<Database>) => Promise<void>,
): Promise<Answer> {
  const db = databaseOf(session);
  const json = await db.transaction().execute(async (trx) => {
    const recovering = await sql<{ recovering: boolean }>`select pg_is_in_recovery() as recovering,
      set_config('pg_keeper.edit_node_info', 'on', true)`.execute(trx);
    if (recovering.rows[0]?.recovering !== false)
      throw new CommandError('speaks', 'the server is in recovery');
    await trx.selectFrom('cluster_state').select('version').forUpdate().executeTakeFirstOrThrow();
    await change(trx);
    return readRow(trx);
  });
  // Read after the local commit: everything up to it is flushed.
  const { rows } = await session.client.query<{ lsn: string }>(
    'select pg_current_wal_flush_lsn()::text as lsn',
  );
  const registry = registryOf(json);
  if (registry === null) throw new CommandError('speaks', 'the registry row is empty');
  return { kind: 'written', lsn: parseLsn(rows[0]?.lsn ?? '0/0'), registry };
}

export async function readRow(db: Kysely<Database>): Promise<RegistryJson> {
  const row = await db.selectFrom('cluster_state').selectAll().executeTakeFirstOrThrow();
  return {
    epoch: Number(row.epoch),
    version: Number(row.version),
    promotionId: row.promotion_id,
    promotions: row.promotions,
    systemIdentifier: row.system_identifier,
    master: row.master,
    syncWish: row.sync_wish,
    syncMembers: row.sync_members,
    syncNeeded: row.sync_needed,
    syncWished: row.sync_wished,
    voters: row.voters as readonly Voter[],
    nodes: row.nodes as readonly Voter[],
  };
}

export function syncColumns(sync: SyncRow) {
  return {
    sync_wish: sync.wish,
    sync_members: [...sync.members],
    sync_needed: sync.needed,
    sync_wished: sync.wished,
  };
}

export const nextVersion = sql<string>`version + 1`;

export function writeSync(session: SessionContext, sync: SyncRow): Promise<Answer> {
  return written(session, async (trx) => {
    await trx
      .updateTable('cluster_state')
      .set({ version: nextVersion, ...syncColumns(sync), changed_at: sql`clock_timestamp()` })
      .execute();
  });
}

export function writeVoters(session: SessionContext, voters: readonly Voter[]): Promise<Answer> {
  return writtenOrBusy(session, async (trx) => {
    await trx
      .updateTable('cluster_state')
      .set({
        version: nextVersion,
        voters: sql`${JSON.stringify(voters)}::jsonb`,
        changed_at: sql`clock_timestamp()`,
      })
      .execute();
  });
}

/** Only rows that differ are touched, so that an unchanged verdict is no registry change. */
export function writeFlags(
  session: SessionContext,
  nextMaster: string | null,
  syncNames: readonly string[],
): Promise<Answer> {
  return writtenOrBusy(session, async (trx) => {
    const next = nextMaster ?? ''; // nobody's name
    await trx
      .updateTable('node_info')
      .set({ is_nextmaster: false })
      .where('is_nextmaster', '=', true)
      .where('name', '<>', next)
      .execute();
    await sql`update pgkeeper.node_info n set is_nextmaster = want.nextmaster, is_sync = want.sync
      from (select m.seqno, m.name = ${next} and not m.is_master as nextmaster,
                   m.name = any(${[...syncNames]}::text[]) and not m.is_master as sync from pgkeeper.node_info m) want
      where want.seqno = n.seqno and (n.is_nextmaster, n.is_sync) is distinct from (want.nextmaster, want.sync)`.execute(
      trx,
    );
  });
}

/** A decision may have waited long for a master that takes writes. By the present offset of the clocks: a clock that was set meanwhile is right now. */
function wallTimeOf(record: ReasonRecord): Date {
  return new Date(Date.now() - (performance.now() - record.at));
}

/** Decisions and the last known state of a worker, written on the master for everybody to read. */
export async function report(
  session: SessionContext,
  events: readonly ReasonRecord[],
  state: string,
): Promise<Answer> {
  try {
    await reportOnce(session, events, state);
    return { kind: 'done' };
  } catch (error) {
    if (isLockTimeout(error)) return { kind: 'busy' };
    throw error;
  }
}

/** With one of these a worker came to its state anew, though no other could be written in between: the master was out of its reach. */
const enteredAnew: ReadonlySet<ReasonCode> = new Set<ReasonCode>([
  'worker-started',
  'standby-connected',
  'master-back',
  'server-back',
  'server-started',
  'rejoined',
]);

async function reportOnce(
  session: SessionContext,
  events: readonly ReasonRecord[],
  state: string,
): Promise<void> {
  const db = databaseOf(session);
  const node = session.ownName;
  const anew = events.some(({ code }) => enteredAnew.has(code));
  await insertEvents(db, node, events);
  await db
    .insertInto('node_state')
    .values({ name: node, state, since: sql`clock_timestamp()`, reported_at: sql`clock_timestamp()` })
    .onConflict((conflict) =>
      conflict.column('name').doUpdateSet({
        state,
        since: anew
          ? sql`excluded.since`
          : sql`case when node_state.state = excluded.state then node_state.since else excluded.since end`,
        reported_at: sql`excluded.reported_at`,
      }),
    )
    .execute();
}

/** Of a command that did by hand what a worker does else. `client`: on the master. */
export async function tell(
  client: SessionContext['client'],
  node: string,
  events: readonly ReasonRecord[],
): Promise<void> {
  await client.query('set synchronous_commit = local');
  await insertEvents(databaseOf({ client }), node, events);
}

async function insertEvents(
  db: Kysely<Database>,
  node: string,
  events: readonly ReasonRecord[],
): Promise<void> {
  if (events.length === 0) return;
  await db
    .insertInto('events')
    .values(
      events.map((record) => ({
        at: wallTimeOf(record),
        epoch: String(record.epoch),
        node,
        code: record.code,
        sentence: sentence(record),
        details: JSON.stringify({ ...record.details, warning: isWarning(record.code) }),
      })),
    )
    .execute();
}
