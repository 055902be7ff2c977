/**
 * The tables and views of the schema `pgkeeper` as kysely sees them, one interface an object, columns as in extension/sql.
 * Types only. Selected bigints are strings, as pg delivers them; names carry no schema: use `withSchema('pgkeeper')`.
 */
import type { ColumnType, Generated } from 'kysely';
import type { OpenRequest, Promotion, WitnessIdentity } from '../core/types.js';

/** bigint: read as text, written as either. */
type BigintColumn = ColumnType<string, string | number | bigint | undefined, string | number | bigint>;

/** timestamptz with a default. */
type TimeColumn = ColumnType<Date, Date | string | undefined, Date | string>;

/** jsonb: pg parses what it reads; arrays must be written as text, or pg makes PostgreSQL arrays of them. */
type JsonColumn<Read> = ColumnType<Read, string | undefined, string>;

/** interval, as pg delivers it; what is 0 may be missing. */
export interface Interval {
  readonly days?: number;
  readonly hours?: number;
  readonly minutes?: number;
  readonly seconds?: number;
  readonly milliseconds?: number;
  toPostgres(): string;
}

/** An element of `cluster_state.voters` and `.nodes`. */
export interface VoterElement {
  readonly name: string;
  readonly kind: 'node' | 'witness';
  /** May hold a password. */
  readonly conninfo: string;
  /** Database in which this voter's advisory lock lives. */
  readonly database: string;
  readonly seqno: number;
  /** Of a witness only. */
  readonly identity?: WitnessIdentity;
  /** Of a node, where planned. */
  readonly maintenance?: boolean;
  readonly priority?: number;
  readonly pause?: 'on' | 'ending';
  readonly request?: OpenRequest;
}

/** Exactly these six columns, in this order. */
export interface NodeInfoTable {
  readonly seqno: Generated<number>;
  readonly name: string;
  readonly conninfo: string;
  readonly is_master: Generated<boolean>;
  readonly is_nextmaster: Generated<boolean>;
  readonly is_sync: Generated<boolean>;
}

/** Witnesses, numbered together with the nodes. */
export interface WitnessInfoTable {
  readonly seqno: Generated<number>;
  readonly name: string;
  readonly conninfo: string;
  readonly database: string;
  readonly token: Generated<string>;
  readonly system_identifier: string;
  readonly timeline: number;
  readonly address: string;
}

/** One row. Triggers raise `version` (once a transaction), keep `nodes` and notify. */
export interface ClusterStateTable {
  readonly only_row: Generated<boolean>;
  readonly epoch: BigintColumn;
  readonly version: BigintColumn;
  readonly promotion_id: string | null;
  readonly promotions: JsonColumn<readonly Promotion[]>;
  readonly system_identifier: string | null;
  readonly master: string | null;
  readonly sync_wish: Generated<string>;
  readonly sync_members: Generated<string[]>;
  readonly sync_needed: Generated<number>;
  readonly sync_wished: Generated<number>;
  readonly voters: JsonColumn<readonly VoterElement[]>;
  readonly nodes: JsonColumn<readonly VoterElement[]>;
  readonly changed_at: TimeColumn;
}

export interface EventsTable {
  readonly id: Generated<string>;
  readonly at: TimeColumn;
  readonly epoch: ColumnType<string, string | number | bigint, string | number | bigint>;
  readonly node: string;
  readonly code: string;
  readonly sentence: string;
  readonly details: JsonColumn<Readonly<Record<string, unknown>>>;
}

export interface NodeStateTable {
  readonly name: string;
  readonly state: string;
  readonly since: TimeColumn;
  readonly reported_at: TimeColumn;
}

export interface RequestsTable {
  readonly id: Generated<string>;
  readonly kind: string;
  readonly target: string | null;
  readonly options: JsonColumn<Readonly<Record<string, unknown>>>;
  readonly state: Generated<string>;
  readonly reason: Generated<string>;
  readonly epoch: ColumnType<string, string | number | bigint, string | number | bigint>;
  readonly asked_at: TimeColumn;
  readonly changed_at: TimeColumn;
}

export interface NodePlanTable {
  readonly name: string;
  readonly maintenance: Generated<boolean>;
  readonly priority: number | null;
}

/** One row. */
export interface ClusterPlanTable {
  readonly only_row: Generated<boolean>;
  readonly pause: Generated<string>;
}

/** The view; never written. */
export interface StatusView {
  readonly name: ColumnType<string, never, never>;
  readonly role: ColumnType<'master' | 'standby' | 'witness', never, never>;
  readonly state: ColumnType<string, never, never>;
  readonly is_nextmaster: ColumnType<boolean, never, never>;
  readonly is_sync: ColumnType<boolean, never, never>;
  readonly timeline: ColumnType<number | null, never, never>;
  /** Text form, such as 0/3000060. */
  readonly lsn: ColumnType<string | null, never, never>;
  readonly lag_bytes: ColumnType<string | null, never, never>;
  readonly since: ColumnType<Date | null, never, never>;
  readonly lease: ColumnType<string | null, never, never>;
}

/** The view; never written. */
export interface ReplStatusView {
  readonly name: ColumnType<string, never, never>;
  readonly state: ColumnType<string, never, never>;
  /** Bytes. */
  readonly replication_lag: ColumnType<string | null, never, never>;
  /** Bytes. */
  readonly apply_lag: ColumnType<string | null, never, never>;
  readonly time_lag: ColumnType<Interval | null, never, never>;
}

export interface Database {
  readonly node_info: NodeInfoTable;
  readonly witness_info: WitnessInfoTable;
  readonly cluster_state: ClusterStateTable;
  readonly events: EventsTable;
  readonly node_state: NodeStateTable;
  readonly requests: RequestsTable;
  readonly node_plan: NodePlanTable;
  readonly cluster_plan: ClusterPlanTable;
  readonly status: StatusView;
  readonly repl_status: ReplStatusView;
}
