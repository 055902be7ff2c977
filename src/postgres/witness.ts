/**
 * A witness on the wire: any PostgreSQL server, nothing installed. Its lock has the key of the cluster it serves; its row is
 * kept in a schema of its own, made by the first worker that needs it, one row a cluster and token, only moving forward.
 * Rows of other tokens stay: a copy of this cluster with the same system identifier may keep its own there.
 */
import type { Command, WitnessKey } from '../core/effects.js';
import { parseLsn } from '../core/lsn.js';
import type { Observation, WorkerTrace } from '../core/types.js';
import { type RegistryJson, registryOf, workersSql } from './observation.js';
import { CommandError, type SessionContext } from './session-context.js';

/**
 * How workers of one cluster know each other's sessions on a server that many clusters may use. A name that fills the 63
 * bytes of application_name may be cut, and is never read as a name.
 */
export function witnessSessionPrefix({ systemIdentifier }: WitnessKey): string {
  const hex = BigInt.asUintN(64, BigInt(systemIdentifier)).toString(16).padStart(16, '0');
  return `pgkw ${hex} `;
}

/** $1 = application_name, $2 = pattern of this cluster's workers, $3 and $4 = the key of its row. */
export const witnessSql = (withRow: boolean): string => `
select set_config('application_name', $1, false),
  pg_backend_pid() as pid,
  (pg_control_system()).system_identifier::text as system_identifier,
  r.recovering as in_recovery,
  case when r.recovering then (pg_control_checkpoint()).timeline_id
    else ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int end as timeline,
  coalesce(host(inet_server_addr()) || ':' || inet_server_port(), '') as address,
  extract(epoch from clock_timestamp() - (select backend_start from pg_stat_activity where backend_type = 'checkpointer')) * 1000
    as birth_age_ms,
  ${workersSql('$2')} as workers,
  ${withRow ? "(select json_build_object('ballot', k.ballot, 'registry', k.registry) from pgkeeper_witness.kept k where k.system_identifier = $3 and k.token = $4)" : 'null::json'} as kept
from (select pg_is_in_recovery() as recovering offset 0) r`;

export function witnessValues(applicationName: string, key: WitnessKey, withRow: boolean): string[] {
  const row = withRow ? [key.systemIdentifier, key.token] : [];
  return [applicationName, `^${witnessSessionPrefix(key)}(.*)$`, ...row];
}

export interface WitnessRow {
  readonly pid: number;
  readonly system_identifier: string;
  readonly in_recovery: boolean;
  readonly timeline: number;
  readonly address: string;
  readonly birth_age_ms: string | null;
  readonly workers: readonly WorkerTrace[] | null;
  readonly kept: { readonly ballot: number; readonly registry: RegistryJson | null } | null;
}

const noPosition = parseLsn('0/0');

export function witnessObservation(row: WitnessRow): Observation {
  return {
    systemIdentifier: row.system_identifier,
    nodeName: null,
    inRecovery: row.in_recovery,
    timeline: row.timeline,
    received: noPosition,
    replayed: noPosition,
    readToEnd: true,
    replayPaused: false,
    walReceiver: null,
    primaryConninfo: '',
    ballot: row.kept?.ballot ?? 0,
    address: row.address,
    names: '',
    fenced: false,
    birthAgeMs: row.birth_age_ms === null ? 0 : Number(row.birth_age_ms),
    priority: 0,
    replication: [],
    workers: row.workers ?? [],
    registry: registryOf(row.kept?.registry ?? null),
    retryOverride: false,
    overruled: false,
  };
}

export const witnessTableSql = `select to_regclass('pgkeeper_witness.kept') is not null as known`;

/** Is the table there? CREATE ... IF NOT EXISTS would ask for the right to create even where nothing is to be made. */
export async function knowsWitnessTable(session: SessionContext): Promise<boolean> {
  const { rows } = await session.client.query<{ known: boolean }>(witnessTableSql);
  return rows[0]?.known === true;
}

export interface Neighbours {
  /** Rows of other clusters that this role reads there. */
  readonly clusters: number;
  /** Workers of this system identifier with a session there, and from how many addresses. */
  readonly workers: readonly { readonly name: string; readonly places: number }[];
}

/** Who else uses that witness. $1 = the cluster's system identifier, $2 = the pattern of its workers. */
export const neighboursSql = (withRow: boolean): string => `
select ${withRow ? '(select count(distinct system_identifier)::int from pgkeeper_witness.kept where system_identifier <> $1)' : '($1::text is null)::int'} as clusters,
  coalesce((select json_agg(json_build_object('name', s.name, 'places', s.places)) from
    (select w.name, count(distinct coalesce(host(a.client_addr), ''))::int as places
     from pg_stat_activity a, substring(a.application_name from $2) as w(name) where w.name is not null group by w.name) s),
    '[]'::json) as workers`;

export function neighboursValues(key: WitnessKey): string[] {
  return [key.systemIdentifier, `^${witnessSessionPrefix(key)}(.*)$`];
}

const tableSql = `create schema if not exists pgkeeper_witness;
create table if not exists pgkeeper_witness.kept (
  system_identifier text not null, token text not null,
  epoch bigint not null default 0, version bigint not null default 0, ballot bigint not null default 0,
  registry jsonb, changed_at timestamptz not null default clock_timestamp(),
  primary key (system_identifier, token));
comment on schema pgkeeper_witness is 'Made by pgkeeper: this server is a witness of the clusters in the table kept.';
comment on table pgkeeper_witness.kept is 'The newest registry row of each cluster this server is a witness of. May hold passwords of conninfos.';`;

/** Row and ballot each keep the newer of what is there and what is given. Flushed when this returns. */
export async function keepOnWitness(
  session: SessionContext,
  key: WitnessKey,
  command: Extract<Command, { kind: 'write-witness' }>,
): Promise<void> {
  const { client } = session;
  if (!(await knowsWitnessTable(session))) await client.query(tableSql);
  session.schemaKnown = true;
  const { registry, ballot } = command;
  const { rowCount } = await client.query(
    `insert into pgkeeper_witness.kept as k (system_identifier, token, epoch, version, ballot, registry)
     values ($1, $2, $3, $4, $5, $6)
     on conflict (system_identifier, token) do update set
       ballot = greatest(k.ballot, excluded.ballot),
       (epoch, version, registry) = (select n.epoch, n.version, n.registry
         from (values (k.epoch, k.version, k.registry), (excluded.epoch, excluded.version, excluded.registry))
           as n(epoch, version, registry)
         order by n.epoch desc, n.version desc, n.registry is null limit 1),
       changed_at = clock_timestamp()`,
    [
      key.systemIdentifier,
      key.token,
      registry?.epoch ?? 0,
      registry?.version ?? 0,
      ballot,
      registry === null ? null : JSON.stringify(registry),
    ],
  );
  if (rowCount !== 1) throw new CommandError('speaks', 'the witness did not keep the row');
}
