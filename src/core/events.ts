/** Everything that can happen to a keeper. Every event comes with the worker's monotonic time (see step.ts). */
import type { Lsn } from './lsn.js';
import type { LinkFailure, Observation, Registry } from './types.js';

/** What a command on a voter's session came back with. */
export type Answer =
  | { readonly kind: 'observed'; readonly observation: Observation }
  | { readonly kind: 'renewed' }
  | {
      readonly kind: 'vote';
      readonly granted: boolean /** lease_ttl set on the voter with this vote, ms. */;
      readonly ttlMs?: number;
      readonly birthAgeMs: number;
      /** Nodes whose workers have a session on that voter, as old as was asked for and used just now. */
      readonly workers: readonly string[];
    }
  | { readonly kind: 'released' }
  | { readonly kind: 'done' }
  /** Somebody holds a lock that this command can wait for. */
  | { readonly kind: 'busy' }
  | { readonly kind: 'proven'; readonly proven: boolean; readonly detail: string }
  | { readonly kind: 'written'; readonly lsn: Lsn; readonly registry: Registry }
  /** Null = no operator asks anything. */
  | { readonly kind: 'word'; readonly acceptLoss: boolean | null }
  | { readonly kind: 'wish'; readonly file: string | null; readonly effective: string };

/** WAL that only one server had, and that its way back to the master's history took from it. */
export interface LostWal {
  readonly from: string;
  readonly to: string;
  /** Null = not counted: there is no pg_waldump. */
  readonly commits: number | null;
  /** Where it is kept; null = not, see `why`. */
  readonly folder: string | null;
  readonly why: string;
}

export type KeeperEvent =
  | { readonly kind: 'wake' }
  /** A notification or a signal says: read again now. */
  | { readonly kind: 'hint' }
  | { readonly kind: 'session-opened'; readonly voter: string; readonly attempt: number }
  | {
      readonly kind: 'session-lost';
      readonly voter: string;
      readonly attempt: number;
      readonly failure: LinkFailure;
      readonly detail: string;
    }
  | { readonly kind: 'answer'; readonly voter: string; readonly id: number; readonly answer: Answer }
  /** A peer said whether it sees the master; null = no answer. */
  | {
      readonly kind: 'indirect-answer';
      readonly via: string;
      readonly round: number;
      readonly sees: boolean | null;
    }
  /** A fresh connection to the own server: did anything that speaks the protocol answer? */
  | { readonly kind: 'own-probe'; readonly alive: boolean }
  | {
      readonly kind: 'server-inspected';
      readonly server: 'running' | 'stopped-clean' | 'crashed';
      readonly standby: boolean;
    }
  /** Every process of the own server is gone and it can only start as a standby. */
  | { readonly kind: 'server-retired'; readonly ok: boolean; readonly detail: string }
  | { readonly kind: 'server-started'; readonly ok: boolean; readonly detail: string }
  | { readonly kind: 'own-checkpoint'; readonly ok: boolean; readonly detail: string }
  /** Not ok: those that were paused by this are resumed again. */
  | { readonly kind: 'pools-paused'; readonly ok: boolean; readonly detail: string }
  /** `resumed`: how many were paused at all. Comes once more where one answers late. */
  | {
      readonly kind: 'pools-resumed';
      readonly ok: boolean;
      readonly detail: string;
      readonly resumed: number;
      readonly named: number;
    }
  /** `end`: position of the last record, the shutdown checkpoint; null = it was not a clean end. */
  | {
      readonly kind: 'server-stopped';
      readonly ok: boolean;
      readonly detail: string;
      readonly end: Lsn | null;
    }
  | {
      readonly kind: 'server-rejoined';
      readonly ok: boolean;
      readonly detail: string;
      /** WAL that only this server had. */
      readonly lost?: LostWal | null;
    }
  | {
      readonly kind: 'hook-done';
      readonly hook: 'fencing' | 'after' | 'async';
      readonly event: string;
      readonly ok: boolean;
      readonly detail: string;
      /** False where no such command is set. */
      readonly ran: boolean;
    }
  | { readonly kind: 'settings'; readonly settings: import('./types.js').CoreSettings };
