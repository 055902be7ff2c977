/** What `pgkeeper check` has to know of one server: read once, in one short session. Judging is check-server.ts and check-cluster.ts. */
import type pg from 'pg';
import { messageOf } from '../../core/error-text.js';
import { openClient, queryWithDeadline, targetOf } from '../../postgres/connect.js';
import { lostSlot } from '../../postgres/observation.js';
import { type InstalledSchema, installedSchema } from '../../postgres/schema-version.js';

export interface ServerSetting {
  readonly value: string;
  /** As in pg_settings.source; null = hidden from this role. */
  readonly source: string | null;
}

export interface Streaming {
  readonly name: string;
  readonly state: string | null;
}

export interface ServerSlot {
  readonly name: string;
  readonly lost: boolean;
}

export interface ServerFacts {
  /** Registered name, or how the server is called in messages. */
  readonly name: string;
  readonly version: string;
  readonly versionNum: number;
  readonly inRecovery: boolean;
  readonly database: string;
  readonly settings: Readonly<Record<string, ServerSetting>>;
  readonly role: string;
  readonly superuser: boolean;
  readonly replication: boolean;
  /** Statements that would give the role what a worker needs. */
  readonly missingGrants: readonly string[];
  readonly dblink: boolean;
  /** May open a connection to another server without a password. */
  readonly dblinkWithoutPassword: boolean;
  readonly schema: InstalledSchema;
  readonly receiver: {
    readonly status: string | null;
    readonly host: string | null;
    readonly port: number | null;
    readonly name: string | null;
  } | null;
  readonly streaming: readonly Streaming[];
  /** Replication slots of every kind. */
  readonly slots: readonly ServerSlot[];
  readonly replayPaused: boolean;
  /** synchronous_standby_names of the user's own files, when this role may read them. */
  readonly syncWish: string | null;
  /** Ordinary connections still free. */
  readonly freeConnections: number;
}

const settingNames = [
  'hot_standby',
  'wal_level',
  'wal_log_hints',
  'data_checksums',
  'full_page_writes',
  'max_wal_senders',
  'max_replication_slots',
  'max_slot_wal_keep_size',
  'max_connections',
  'max_worker_processes',
  'max_prepared_transactions',
  'max_locks_per_transaction',
  'synchronous_standby_names',
  'synchronous_commit',
  'primary_conninfo',
  'recovery_min_apply_delay',
  'wal_retrieve_retry_interval',
  'allow_alter_system',
  'log_statement',
] as const;

const factsSql = `
select current_setting('server_version') as version, current_setting('server_version_num')::int as version_num,
  pg_is_in_recovery() as in_recovery, current_database() as database, current_user as role,
  r.rolsuper as superuser, r.rolreplication as replication,
  (select json_object_agg(n.name, json_build_object('value', coalesce(current_setting(n.name, true), ''), 'source', s.source))
   from unnest($1::text[]) as n(name) left join pg_settings s using (name)
   where n.name <> 'primary_conninfo' or pg_has_role('pg_read_all_settings', 'usage')) as settings,
  exists (select from pg_extension where extname = 'dblink') as dblink,
  coalesce((select has_function_privilege(p.oid, 'execute') from pg_proc p join pg_extension e on e.extname = 'dblink'
    join pg_depend d on d.objid = p.oid and d.refobjid = e.oid and d.deptype = 'e'
    where p.proname = 'dblink_connect_u' and p.pronargs = 2), false) as dblink_without_password,
  (select json_build_object('status', w.status, 'host', w.sender_host, 'port', w.sender_port, 'conninfo', w.conninfo)
   from pg_stat_wal_receiver w) as receiver,
  (select json_agg(json_build_object('name', application_name, 'state', state)) from pg_stat_replication) as streaming,
  (select json_agg(json_build_object('name', slot_name, 'lost', ${lostSlot})) from pg_replication_slots
   where not temporary) as slots,
  case when pg_is_in_recovery() then pg_is_wal_replay_paused() else false end as replay_paused,
  current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
    - coalesce(current_setting('reserved_connections', true)::int, 0) -- 16 and newer
    - (select count(*)::int from pg_stat_activity where backend_type = 'client backend') as free_connections
from pg_roles r where r.rolname = current_user`;

/** Role, right, and the statement that gives it. Only names that exist in that version are asked for. */
function rightsSql(versionNum: number, withRegistry: boolean): string {
  const role = `quote_ident(current_user)`;
  const membership = [
    'pg_monitor',
    'pg_signal_backend',
    ...(versionNum >= 150_000 ? ['pg_checkpoint'] : []),
  ].map((group) => `(pg_has_role('${group}', 'usage'), 'GRANT ${group} TO ' || ${role})`);
  const functions = [
    'pg_promote(boolean,integer)',
    'pg_reload_conf()',
    'pg_wal_replay_resume()',
    'pg_show_all_file_settings()',
    ...(versionNum >= 150_000 ? ['pg_backup_start(text,boolean)', 'pg_backup_stop(boolean)'] : []),
    'pg_ls_dir(text,boolean,boolean)',
    'pg_stat_file(text,boolean)',
    'pg_read_binary_file(text)',
    'pg_read_binary_file(text,bigint,bigint,boolean)',
  ].map(
    (name) =>
      `(has_function_privilege('pg_catalog.${name}', 'execute'), 'GRANT EXECUTE ON FUNCTION pg_catalog.${name} TO ' || ${role})`,
  );
  const parameters = (
    versionNum >= 150_000
      ? ['synchronous_standby_names', 'primary_conninfo', 'primary_slot_name', 'wal_retrieve_retry_interval']
      : []
  ).map(
    (name) =>
      `(has_parameter_privilege('${name}', 'alter system'), 'GRANT ALTER SYSTEM ON PARAMETER ${name} TO ' || ${role})`,
  );
  const tables = withRegistry
    ? [
        `(has_schema_privilege('pgkeeper', 'usage'), 'GRANT USAGE ON SCHEMA pgkeeper TO ' || ${role})`,
        ...['select', 'insert', 'update', 'delete'].map(
          (right) =>
            `(has_table_privilege('pgkeeper.node_info', '${right}') and has_table_privilege('pgkeeper.events', '${right}') and has_table_privilege('pgkeeper.node_state', '${right}'),
             'GRANT ${right.toUpperCase()} ON pgkeeper.node_info, pgkeeper.events, pgkeeper.node_state TO ' || ${role})`,
        ),
        `(has_table_privilege('pgkeeper.cluster_state', 'select') and has_table_privilege('pgkeeper.cluster_state', 'update'),
          'GRANT SELECT, UPDATE ON pgkeeper.cluster_state TO ' || ${role})`,
        `(not exists (select from pg_proc where pronamespace = 'pgkeeper'::regnamespace and not has_function_privilege(oid, 'execute')),
          'GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA pgkeeper TO ' || ${role})`,
      ]
    : [];
  const all = [...membership, ...functions, ...parameters, ...tables].join(',\n');
  return `select statement from (values ${all}) as v(has, statement) where not has`;
}

const wishSql = `select setting from pg_file_settings where name = 'synchronous_standby_names'
  and sourcefile not like '%postgresql.auto.conf' order by seqno desc limit 1`;

interface FactsRow {
  readonly version: string;
  readonly version_num: number;
  readonly in_recovery: boolean;
  readonly database: string;
  readonly role: string;
  readonly superuser: boolean;
  readonly replication: boolean;
  readonly settings: Readonly<Record<string, ServerSetting>>;
  readonly dblink: boolean;
  readonly dblink_without_password: boolean;
  readonly receiver: {
    status: string | null;
    host: string | null;
    port: number | null;
    conninfo: string | null;
  } | null;
  readonly streaming: readonly Streaming[] | null;
  readonly slots: readonly ServerSlot[] | null;
  readonly replay_paused: boolean;
  readonly free_connections: number;
}

const factsDeadlineMs = 5000;

export async function factsOf(client: pg.Client, name: string): Promise<ServerFacts> {
  const ask = async (sql: string, values: readonly unknown[] = []) =>
    (await queryWithDeadline(client, sql, values, factsDeadlineMs)).rows as readonly Record<
      string,
      unknown
    >[];
  const [row] = (await ask(factsSql, [settingNames])) as unknown as readonly FactsRow[];
  if (row === undefined) throw new Error('the server told nothing of itself');
  const schema = await installedSchema((sql) => ask(sql));
  const withRegistry = schema.kind === 'extension' || schema.kind === 'migration';
  const missing = row.superuser ? [] : await ask(rightsSql(row.version_num, withRegistry));
  const wish = await ask(wishSql).catch(() => []);
  return {
    name,
    version: row.version,
    versionNum: row.version_num,
    inRecovery: row.in_recovery,
    database: row.database,
    settings: row.settings,
    role: row.role,
    superuser: row.superuser,
    replication: row.replication,
    missingGrants: missing.map((grant) => `${String(grant['statement'])};`),
    dblink: row.dblink,
    dblinkWithoutPassword: row.superuser || row.dblink_without_password,
    schema,
    receiver: row.receiver === null ? null : { ...row.receiver, name: receiverName(row.receiver.conninfo) },
    streaming: row.streaming ?? [],
    slots: row.slots ?? [],
    replayPaused: row.replay_paused,
    syncWish: (wish[0]?.['setting'] as string | null | undefined) ?? null,
    freeConnections: row.free_connections,
  };
}

/** As pgkeeper.receiver_name: values stand without quotes in pg_stat_wal_receiver, a keyword ends each. */
function receiverName(conninfo: string | null): string | null {
  if (conninfo === null) return null;
  const part = (keyword: string) => new RegExp(`(?:^| )${keyword}=(.*?)(?= [a-z_]+=|$)`).exec(conninfo)?.[1];
  return part('application_name') ?? part('fallback_application_name') ?? null;
}

export interface Reach {
  readonly from: string;
  readonly to: string;
  readonly reached: boolean;
  /** Why it could not even be asked. */
  readonly problem: string | null;
}

const pollMs = 2000;

/** Asks a server, over dblink, whether it reaches the others: the same question workers ask each other. */
export async function reachFrom(
  client: pg.Client,
  from: string,
  others: readonly { readonly name: string; readonly conninfo: string }[],
): Promise<readonly Reach[]> {
  const found: Reach[] = [];
  for (const { name, conninfo } of others) {
    try {
      const { rows } = await queryWithDeadline(
        client,
        'select pgkeeper.indirect_polling($1, $2) as reached',
        [conninfo, pollMs],
        pollMs * 3,
      );
      const reached = (rows[0] as { reached?: boolean } | undefined)?.reached === true;
      found.push({ from, to: name, reached, problem: null });
    } catch (error) {
      const problem = messageOf(error);
      found.push({ from, to: name, reached: false, problem });
    }
  }
  return found;
}

export function openFor(conninfo: string): Promise<pg.Client> {
  return openClient(conninfo, { applicationName: 'pgkeeper check', connectTimeoutMs: factsDeadlineMs });
}

/** host:port of a conninfo, for messages. */
export function addressText(conninfo: string): string {
  const { host, port } = targetOf(conninfo);
  return host.startsWith('/') ? `${host}/.s.PGSQL.${port}` : `${host}:${port}`;
}

/** Value of a server setting; empty where the server has none of that name. */
export function settingOf(facts: ServerFacts, name: string): string {
  return facts.settings[name]?.value ?? '';
}
