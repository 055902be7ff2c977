/**
 * The words of the core: voters, the registry row, what a look at a server tells.
 * No behaviour here beyond tiny derivations; no I/O anywhere in this folder.
 */
import type { Lsn } from './lsn.js';

/** Whoever has a vote: a node (server with worker) or a witness (a server that only lends its advisory lock). */
export interface Voter {
  readonly name: string;
  readonly kind: 'node' | 'witness';
  readonly conninfo: string;
  /** Database in which this voter's advisory lock lives. Advisory locks are per database. */
  readonly database: string;
  readonly seqno: number;
  /** Of a witness: the one server that was added. On any other its vote is void. */
  readonly identity?: WitnessIdentity;
  /** Of a registered node, where planned: no candidate, and its worker leaves its server as it is. */
  readonly maintenance?: boolean;
  /** Of a registered node, where planned: in place of its own setting. */
  readonly priority?: number;
  /** Of every registered node while the cluster is paused. */
  readonly pause?: 'on' | 'ending';
  /** Of the registered master: what is asked of it. */
  readonly request?: OpenRequest;
}

/** A row of pgkeeper.requests that is not finished. */
export interface OpenRequest {
  readonly id: number;
  readonly kind: 'switchover' | 'failover';
  readonly target: string | null;
  readonly state: 'asked' | 'running' | 'handing-over';
  /** Epoch in which it was asked or taken up. */
  readonly epoch: number;
}

/** What tells a witness from the server that took its place: another one, a promoted copy, a restored snapshot. */
export interface WitnessIdentity {
  /** Fresh with each add_witness; the key of the row there, so that rows of earlier times are never read. */
  readonly token: string;
  readonly systemIdentifier: string;
  readonly timeline: number;
  /** Address of the server as it sees it itself; '' = a local socket. */
  readonly address: string;
}

/** Tells a timeline from another one of the same number. */
export interface Promotion {
  readonly timeline: number;
  readonly id: string;
  /** In which epoch it was fought for; not known of a timeline that a master kept, or of earlier releases. */
  readonly epoch?: number;
}

/** The one-row table `pgkeeper.cluster_state`. */
export interface Registry {
  readonly epoch: number;
  readonly version: number;
  /** Fresh with every promotion: the last one of this history. */
  readonly promotionId: string | null;
  /** The promotion behind each timeline of this history, oldest first. */
  readonly promotions: readonly Promotion[];
  readonly systemIdentifier: string;
  readonly master: string | null;
  /** The user's synchronous_standby_names. */
  readonly syncWish: string;
  /** R: acknowledged commits are on `syncNeeded` of these. */
  readonly syncMembers: readonly string[];
  /** k_r. 0 while `syncWished` > 0 means degraded. */
  readonly syncNeeded: number;
  /** k of the wish; 0 = the user wishes no synchronous replication. */
  readonly syncWished: number;
  /** Voters in force; changed one at a time by the master's worker. */
  readonly voters: readonly Voter[];
  /** What add_node and del_node ask for. */
  readonly nodes: readonly Voter[];
}

/** (epoch, version) order: greater is newer. */
export function compareRegistry(a: Registry, b: Registry): number {
  return a.epoch - b.epoch || a.version - b.version;
}

export interface WalReceiver {
  readonly status: string;
  readonly host: string | null;
  readonly port: number | null;
  readonly lastMessageAgeMs: number | null;
}

/** One row of pg_stat_replication. */
export interface ReplicationRow {
  readonly name: string;
  readonly state: string;
  readonly flushLsn: Lsn | null;
  readonly replayLsn: Lsn | null;
  readonly priority: number;
}

export interface WorkerTrace {
  readonly name: string;
  readonly silentMs: number;
}

/** What one look at a server tells (one statement, one snapshot). */
export interface Observation {
  readonly systemIdentifier: string;
  /** pg_keeper.node_name of that server, when set. */
  readonly nodeName: string | null;
  readonly inRecovery: boolean;
  /** Newest timeline of which this server holds WAL. */
  readonly timeline: number;
  /** Master: flushed position. Standby: greatest(receive, replay). */
  readonly received: Lsn;
  /** Standby: replayed position; on the own server `received`, if only the beginning of a record is left. Master: same as received. */
  readonly replayed: Lsn;
  /** A standby that has read its local WAL to the end since its start; before, `received` says too little. */
  readonly readToEnd: boolean;
  readonly replayPaused: boolean;
  readonly walReceiver: WalReceiver | null;
  readonly primaryConninfo: string;
  /** Highest epoch fought for that this server was told of: in primary_conninfo, or in the row of a witness; 0 = none. */
  readonly ballot: number;
  /** Of a witness: its own address, part of its identity. */
  readonly address: string;
  /** synchronous_standby_names in effect in a backend. */
  readonly names: string;
  /** Set by the worker when the server may only come back as a standby that follows nobody. */
  readonly fenced: boolean;
  /** Age of this server's shared memory (checkpointer start), ms: locks older than that do not exist. */
  readonly birthAgeMs: number;
  readonly priority: number;
  readonly replication: readonly ReplicationRow[];
  /** Workers of this cluster with a session there, and for how long each has said nothing on it, ms. */
  readonly workers: readonly WorkerTrace[];
  /** The row of this server's own registry, as replayed; of a witness: the row it was given. */
  readonly registry: Registry | null;
  /** An operator's session here says that the pause is over although no master can write it. */
  readonly overruled: boolean;
  /** Names of the physical replication slots that WAL can be streamed by. */
  readonly slots?: readonly string[];
  /** wal_retrieve_retry_interval comes from the keeper's override. */
  readonly retryOverride: boolean;
}

/** Settings the decisions depend on; all durations in ms. */
export interface CoreSettings {
  readonly name: string;
  readonly keepaliveTimeMs: number;
  readonly keepaliveCount: number;
  readonly leaseTtlMs: number;
  readonly fastFailover: boolean;
  readonly quorum: 'auto' | 'strict';
  readonly priority: number;
  readonly startupGraceMs: number;
  readonly fencingCommand: boolean;
  /** How long a PAUSE of the PgBouncers may take; 0 = none is named. */
  readonly poolPauseMs: number;
  /** Seed of the worker's random pauses. */
  readonly seed: number;
}

/** T: the failover time users configured. */
export function failoverTimeMs(settings: CoreSettings): number {
  return settings.keepaliveTimeMs * settings.keepaliveCount;
}

/** Deadline of one poll. Half an interval, so that the last of `count` polls can fail exactly at T; 0.1 to 1 s. */
export function pollDeadlineMs(settings: CoreSettings): number {
  return Math.min(1000, Math.max(100, settings.keepaliveTimeMs / 2));
}

/** Safety margin between the holder's idea of a lease and the voter's: 5 %, at least 20 ms. */
export function leaseMarginMs(settings: CoreSettings): number {
  return Math.max(20, settings.leaseTtlMs * 0.05);
}

/**
 * A session without the lock says that its worker knows so only if it was used just now: one that its worker gave up behind
 * a cut stays on the voter for minutes, while the same worker may hold the lock in another. Who gives votes back uses it.
 */
export function recentlyUsedMs(leaseTtlMs: number): number {
  return Math.max(1000, leaseTtlMs / 4);
}

/** The resting value of synchronous_standby_names: a name nobody has, so commits wait and reads go on. */
export const holdNames = 'pgkeeper_hold';

/** Why a session or a connection attempt failed, as far as decisions care. */
export type LinkFailure =
  | 'refused'
  | 'cut'
  | 'timeout'
  | 'unreachable'
  | 'planned-stop'
  | 'starting-up'
  | 'shutting-down'
  | 'speaks'
  | 'foreign'
  | 'closed';

/** Did that failure show a living PostgreSQL on the other side? */
export function isSignOfLife(failure: LinkFailure): boolean {
  return failure === 'speaks' || failure === 'starting-up' || failure === 'shutting-down';
}
