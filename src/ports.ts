/**
 * What the worker needs from the world: small interfaces, each answered by events. Adapters in postgres/ and process/
 * implement them; a simulation can too. No implementation here.
 */
import type { Command, Effect } from './core/effects.js';
import type { KeeperEvent } from './core/events.js';
import type { GuardOrder } from './core/guard-deadline.js';
import type { ReasonRecord } from './core/reasons.js';

/** Where adapters put what happened. */
export type Emit = (event: KeeperEvent) => void;

export interface Clock {
  /** Monotonic, ms; counts while the process is stopped. */
  monotonicMs(): number;
  /** Wall time, ms since 1970: for display, and to notice that the machine slept. */
  wallMs(): number;
  /** Time since the machine started, ms, its sleep included; where unknown, wall time stands in. */
  bootMs?(): number;
  /** Calls back once, not before `atMs` of the monotonic clock. Returns a cancel. */
  wakeAt(atMs: number, callback: () => void): () => void;
}

/** Null conninfo = the own server, null database = that of the conninfo. */
export type SessionRequest = Omit<Extract<Effect, { kind: 'open' }>, 'kind'>;

/** The kept session to each voter, the only hand on that server. */
export interface VoterSessions {
  open(request: SessionRequest): void;
  close(voter: string): void;
  command(voter: string, id: number, command: Command, deadlineMs: number): void;
  /** Shown as application_name of every session. */
  setState(state: string): void;
  end(): Promise<void>;
}

export interface Probe {
  indirectPoll(via: string, viaConninfo: string, target: string, round: number, deadlineMs: number): void;
  probeOwn(deadlineMs: number): void;
}

export interface Notifications {
  /** Listens on the master; null conninfo = the own server, null voter = nobody. */
  listen(voter: string | null, conninfo: string | null): void;
  end(): Promise<void>;
}

/** The PostgreSQL server beside the worker, as a set of processes and files. */
export interface OwnServer {
  inspect(): void;
  retire(names: string | null): void;
  /** As a master only where its own worker stopped it and still holds the lease. */
  start(as: 'standby' | 'master'): void;
  checkpoint(deadlineMs: number): void;
  /** A clean stop. */
  stop(deadlineMs: number): void;
  /** `follow`: the primary_conninfo with which the server comes back. */
  rejoin(source: string, mode: 'rewind-or-copy' | 'copy', follow: string): void;
  endWalReceiver(): void;
  /** Where the nodes are, for a time when the own data cannot be read; may a boot of the host fence this server (null = as before)? */
  remember?(
    nodes: readonly { readonly name: string; readonly conninfo: string }[],
    isKept: boolean | null,
  ): void;
}

export interface HookCall {
  readonly hook: 'fencing' | 'after' | 'async';
  readonly event: string;
  readonly oldMaster: string | null;
  readonly newMaster: string | null;
  readonly epoch: number;
}

export interface Hooks {
  run(call: HookCall): void;
}

/** The PgBouncers named in the settings. */
export interface Pools {
  pause(deadlineMs: number): void;
  resume(): void;
}

/** Where decisions are told: one line per reason, all its numbers. */
export interface DecisionLog {
  decision(record: ReasonRecord, state: string): void;
}

/** A process of its own that ends the server when a deadline passes and nothing is heard of the worker. */
export interface Guard {
  tell(order: GuardOrder): void;
  /** The worker ends. `stays`: what was told last holds on without it. */
  end(stays: boolean): Promise<void>;
}

export interface Ports {
  readonly clock: Clock;
  readonly voters: VoterSessions;
  readonly probe: Probe;
  readonly notifications: Notifications;
  readonly server: OwnServer;
  readonly hooks: Hooks;
  readonly pools: Pools;
  readonly log: DecisionLog;
  readonly guard?: Guard;
}
