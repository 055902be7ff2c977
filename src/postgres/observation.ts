/** One look at a server: the statement, and how its row becomes an Observation. */

import { cutMark } from '../core/handover/switchover-checks.js';
import { parseLsn } from '../core/lsn.js';
import type { Observation, Registry, ReplicationRow, Voter, WorkerTrace } from '../core/types.js';
import { ballotOf } from '../core/votes/ballot.js';
import { wholeConninfo } from './node-address.js';
import { isOperatorsLock, resumeLockClass } from './operator-lock.js';

/** In pg_replication_slots: its WAL was removed. */
export const lostSlot = `(wal_status is not distinct from 'lost')`;

/** Slots that WAL can be streamed by; a lost one refuses it. */
export const usableSlot = `slot_type = 'physical' and not temporary and not ${lostSlot}`;

/** The interval an election sets so that no startup process sleeps; seen again, it is the mark of our override. */
export const shortRetryInterval = '10ms';

/** Workers with a session here, by a pattern whose group is the name; a name that fills application_name may be cut, and is marked. */
export const workersSql = (pattern: string): string => `(select json_agg(json_build_object(
    'name', w.name || case when octet_length(a.application_name) = 63 then '${cutMark}' else '' end,
    'silentMs', extract(epoch from clock_timestamp() - coalesce(a.state_change, a.backend_start)) * 1000))
    from pg_stat_activity a, substring(a.application_name from ${pattern}) as w(name) where w.name is not null)`;

/** An operator's session that says so in a pause (functions/resume.sql); looked for in a pause only. */
const overruledSql = `case when r.recovering and exists (select from pgkeeper.cluster_state c where c.nodes @? '$[*].pause')
  then exists (select from pg_locks l where l.objid = 1 and ${isOperatorsLock(resumeLockClass, 'pgkeeper.resume(boolean)')})
  else false end`;

/**
 * $1 = application_name to show from now on (it carries the worker's state).
 * Positions of a standby are read receive first, replay second: greatest() of the two never says too much.
 */
export const observeSql = (withRegistry: boolean): string => `
select set_config('application_name', $1, false),
  pg_backend_pid() as pid,
  (pg_control_system()).system_identifier::text as system_identifier,
  nullif(current_setting('pg_keeper.node_name', true), '') as node_name,
  r.recovering as in_recovery,
  case when r.recovering
    then coalesce(
      (select received_tli from pg_stat_wal_receiver where status = 'streaming'),
      greatest((pg_control_checkpoint()).timeline_id,
        (select max(('x' || left(name, 8))::bit(32)::int) from pg_ls_waldir() where name ~ '^[0-9A-F]{24}$')))
    else ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int end as timeline,
  case when r.recovering then pg_last_wal_receive_lsn() end::text as received,
  case when r.recovering then pg_last_wal_replay_lsn() else pg_current_wal_flush_lsn() end::text as position,
  case when r.recovering then pg_is_wal_replay_paused() else false end as replay_paused,
  case when r.recovering then exists (select from pg_stat_activity where backend_type = 'startup'
    and wait_event in ('RecoveryRetrieveRetryInterval', 'RecoveryWalStream', 'RecoveryWalAll')) else true end as at_end,
  (select json_build_object('status', status, 'host', sender_host, 'port', sender_port, 'ageMs',
    extract(epoch from clock_timestamp() - last_msg_receipt_time) * 1000) from pg_stat_wal_receiver) as wal_receiver,
  current_setting('primary_conninfo') as primary_conninfo,
  current_setting('synchronous_standby_names') as names,
  coalesce(current_setting('pg_keeper.fenced', true), '') = 'on' as fenced,
  current_setting('wal_retrieve_retry_interval') = '${shortRetryInterval}' as retry_override,
  (select json_agg(slot_name) from pg_replication_slots where ${usableSlot}) as slots,
  extract(epoch from clock_timestamp() - (select backend_start from pg_stat_activity where backend_type = 'checkpointer')) * 1000
    as birth_age_ms,
  current_setting('pg_keeper.priority', true) as priority,
  (select json_agg(json_build_object('name', application_name, 'state', state, 'flush', flush_lsn::text,
    'replay', replay_lsn::text, 'priority', sync_priority)) from pg_stat_replication) as replication,
  ${workersSql("'^pgk \\S+ (.*)$'")} as workers,
  ${withRegistry ? overruledSql : 'false'} as overruled,
  ${withRegistry ? "(select json_build_object('epoch', epoch, 'version', version, 'promotionId', promotion_id, 'promotions', promotions, 'systemIdentifier', system_identifier, 'master', master, 'syncWish', sync_wish, 'syncMembers', sync_members, 'syncNeeded', sync_needed, 'syncWished', sync_wished, 'voters', voters, 'nodes', nodes) from pgkeeper.cluster_state)" : 'null::json'} as registry
from (select pg_is_in_recovery() as recovering offset 0) r`;

export interface ObservationRow {
  readonly pid: number;
  readonly system_identifier: string;
  readonly node_name: string | null;
  readonly in_recovery: boolean;
  readonly timeline: number;
  readonly received: string | null;
  readonly position: string | null;
  readonly replay_paused: boolean;
  readonly at_end: boolean;
  readonly wal_receiver: {
    status: string;
    host: string | null;
    port: number | null;
    ageMs: number | null;
  } | null;
  readonly primary_conninfo: string;
  readonly names: string;
  readonly fenced: boolean;
  readonly retry_override: boolean;
  readonly slots: readonly string[] | null;
  readonly birth_age_ms: string | null;
  readonly priority: string | null;
  readonly replication:
    | readonly {
        name: string;
        state: string;
        flush: string | null;
        replay: string | null;
        priority: number;
      }[]
    | null;
  readonly workers: readonly WorkerTrace[] | null;
  readonly overruled: boolean;
  readonly registry: RegistryJson | null;
}

export type RegistryJson = Omit<Registry, 'voters' | 'nodes' | 'systemIdentifier'> & {
  readonly systemIdentifier: string | null;
  readonly voters: readonly Voter[];
  readonly nodes: readonly Voter[];
};

function withWholeConninfo(voter: Voter): Voter {
  const conninfo = wholeConninfo(voter.conninfo);
  return conninfo === voter.conninfo ? voter : { ...voter, conninfo };
}

/** A row without a first node yet is no registry. */
export function registryOf(json: RegistryJson | null): Registry | null {
  if (json === null || json.systemIdentifier === null || json.nodes.length === 0) return null;
  return {
    ...json,
    epoch: Number(json.epoch),
    version: Number(json.version),
    systemIdentifier: json.systemIdentifier,
    voters: json.voters.map(withWholeConninfo),
    nodes: json.nodes.map(withWholeConninfo),
  };
}

function replicationOf(rows: ObservationRow['replication']): readonly ReplicationRow[] {
  return (rows ?? []).map((row) => ({
    name: row.name,
    state: row.state,
    flushLsn: row.flush === null ? null : parseLsn(row.flush),
    replayLsn: row.replay === null ? null : parseLsn(row.replay),
    priority: row.priority,
  }));
}

export function observationOf(row: ObservationRow): Observation {
  const position = parseLsn(row.position ?? '0/0');
  const receivedAlone = row.received === null ? position : parseLsn(row.received);
  const receiver = row.wal_receiver;
  return {
    systemIdentifier: row.system_identifier,
    nodeName: row.node_name,
    inRecovery: row.in_recovery,
    timeline: row.timeline,
    // biome-ignore lint/complexity/useMathMinMax: positions are bigint
    received: receivedAlone > position ? receivedAlone : position,
    replayed: position,
    readToEnd: row.received !== null || row.at_end,
    replayPaused: row.replay_paused,
    walReceiver:
      receiver === null
        ? null
        : {
            status: receiver.status,
            host: receiver.host,
            port: receiver.port,
            lastMessageAgeMs: receiver.ageMs,
          },
    primaryConninfo: row.primary_conninfo,
    ballot: ballotOf(row.primary_conninfo),
    address: '',
    names: row.names,
    fenced: row.fenced,
    birthAgeMs: row.birth_age_ms === null ? 0 : Number(row.birth_age_ms),
    priority: row.priority === null || row.priority === '' ? 100 : Number(row.priority),
    replication: replicationOf(row.replication),
    workers: row.workers ?? [],
    overruled: row.overruled,
    registry: registryOf(row.registry),
    retryOverride: row.retry_override,
    slots: row.slots ?? [],
  };
}
