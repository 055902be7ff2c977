/** One look of a command at one server on an open session: what it is, who has sessions there, which settings it shows. */
import type pg from 'pg';
import type { WitnessKey } from '../core/effects.js';
import type { Observation } from '../core/types.js';
import { queryWithDeadline } from '../postgres/connect.js';
import { type ObservationRow, observationOf, observeSql } from '../postgres/observation.js';
import {
  type Neighbours,
  neighboursSql,
  neighboursValues,
  type WitnessRow,
  witnessObservation,
  witnessSql,
  witnessTableSql,
  witnessValues,
} from '../postgres/witness.js';
import { definitions } from '../settings/settings.js';

/** A worker as its sessions on a server show it. */
export interface WorkerSession {
  readonly node: string;
  readonly state: string;
  /** Since its last statement there. */
  readonly silentMs: number;
}

/** A row of node_info, with what node_state knows, as one server has it. */
export interface RegisteredNode {
  readonly name: string;
  readonly seqno: number;
  readonly is_master: boolean;
  readonly is_nextmaster: boolean;
  readonly is_sync: boolean;
  readonly state: string | null;
  readonly since: string | null;
}

export interface Answered {
  readonly kind: 'answered';
  readonly observation: Observation;
  /** Of a witness: who else uses it. */
  readonly neighbours?: Neighbours;
  readonly registered: readonly RegisteredNode[];
  readonly workers: readonly WorkerSession[];
  /** Name of the node whose worker holds this server's vote. */
  readonly voteHolder: string | null;
  readonly serverVersion: number;
  /** Their wall clock minus ours; true within +- roundTripMs / 2. */
  readonly clockOffsetMs: number;
  readonly roundTripMs: number;
  /** On a standby: age of the last transaction it has replayed. */
  readonly replayedAgeMs: number | null;
  /** pg_keeper.* as a session there sees them; flags and environment of its worker may say otherwise. */
  readonly keeperSettings: Readonly<Record<string, string | null>>;
}

const detailsSql = (withRegistry: boolean) => `
select current_setting('server_version_num')::int as server_version,
  extract(epoch from clock_timestamp()) * 1000 as clock_ms,
  case when pg_is_in_recovery() then extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000 end as replayed_age_ms,
  (select json_object_agg(n.name, nullif(current_setting('pg_keeper.' || n.name, true), ''))
   from unnest($1::text[]) as n(name)) as keeper_settings,
  (select json_agg(json_build_object('name', a.application_name, 'silentMs',
      extract(epoch from clock_timestamp() - coalesce(a.state_change, a.backend_start)) * 1000) order by a.backend_start)
   from pg_stat_activity a where a.application_name like 'pgk %') as workers,
  (select a.application_name from pg_locks l join pg_stat_activity a using (pid)
   where l.locktype = 'advisory' and l.granted and l.mode = 'ExclusiveLock' and l.objsubid = 1
     and ((l.classid::bigint << 32) | l.objid::bigint) = (select coalesce($2::bigint, c.system_identifier) from pg_control_system() c)
   limit 1) as holder,
  ${
    withRegistry
      ? `(select json_agg(json_build_object('name', n.name, 'seqno', n.seqno, 'is_master', n.is_master, 'is_nextmaster',
      n.is_nextmaster, 'is_sync', n.is_sync, 'state', s.state, 'since', s.since) order by n.seqno)
   from pgkeeper.node_info n left join pgkeeper.node_state s using (name)) as registered`
      : 'null::json as registered'
  }`;

export const settingNames = definitions.flatMap(({ name, aliases }) => [name, ...(aliases ?? [])]);

interface DetailsRow {
  readonly server_version: number;
  readonly clock_ms: string;
  readonly replayed_age_ms: string | null;
  readonly keeper_settings: Readonly<Record<string, string | null>>;
  readonly workers: readonly { readonly name: string; readonly silentMs: number }[] | null;
  readonly holder: string | null;
  readonly registered: readonly RegisteredNode[] | null;
}

/** 'pgk STATE NAME', on a witness 'pgkw CLUSTER NAME', as voter-sessions.ts writes it. */
function workerOf(applicationName: string): { readonly node: string; readonly state: string } | null {
  const [, state, node] = /^pgkw? (\S+) (.+)$/s.exec(applicationName) ?? [];
  return state === undefined || node === undefined ? null : { node, state };
}

async function observe(
  client: pg.Client,
  withRegistry: boolean,
  witness: WitnessKey | null,
  deadlineMs: number,
): Promise<Pick<Answered, 'observation' | 'neighbours'>> {
  if (witness === null) {
    const { rows } = await queryWithDeadline(client, observeSql(withRegistry), ['pgkeeper'], deadlineMs);
    return { observation: observationOf(rows[0] as ObservationRow) };
  }
  const known = await queryWithDeadline(client, witnessTableSql, [], deadlineMs);
  const withRow = (known.rows[0] as { readonly known: boolean }).known;
  const values = witnessValues('pgkeeper', witness, withRow);
  const { rows } = await queryWithDeadline(client, witnessSql(withRow), values, deadlineMs);
  const observation = witnessObservation(rows[0] as WitnessRow);
  const beside = await queryWithDeadline(
    client,
    neighboursSql(withRow),
    neighboursValues(witness),
    deadlineMs,
  );
  return { observation, neighbours: beside.rows[0] as Neighbours };
}

/** What one server tells on an open session. */
export async function lookAt(
  client: pg.Client,
  withRegistry: boolean,
  witness: WitnessKey | null,
  deadlineMs: number,
): Promise<Answered> {
  const seen = await observe(client, withRegistry, witness, deadlineMs);
  const sentAt = Date.now();
  const values = [settingNames, witness?.systemIdentifier ?? null];
  const result = await queryWithDeadline(client, detailsSql(withRegistry), values, deadlineMs);
  const roundTripMs = Date.now() - sentAt;
  const details = result.rows[0] as DetailsRow;
  return {
    kind: 'answered',
    ...seen,
    registered: details.registered ?? [],
    workers: (details.workers ?? []).flatMap(({ name, silentMs }) => {
      const worker = workerOf(name);
      return worker === null ? [] : [{ ...worker, silentMs }];
    }),
    voteHolder: details.holder === null ? null : (workerOf(details.holder)?.node ?? details.holder),
    serverVersion: details.server_version,
    clockOffsetMs: Number(details.clock_ms) - (sentAt + roundTripMs / 2),
    roundTripMs,
    replayedAgeMs: details.replayed_age_ms === null ? null : Math.max(0, Number(details.replayed_age_ms)),
    keeperSettings: details.keeper_settings,
  };
}
