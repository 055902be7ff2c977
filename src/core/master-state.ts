/** What a worker knows as master, and what it has under way: a change of the synchronous set, a switchover. */

import type { RequestState, SyncRow } from './effects.js';
import type { Lsn } from './lsn.js';
import type { Voter } from './types.js';

export interface Master {
  readonly kind: 'master';
  readonly since: number;
  readonly oldMaster: string | null;
  handover: Handover | null;
  /** after_command runs: it may point clients here. */
  commandRuns: boolean;
  /** The lease lapsed in a pause, and this server went on. */
  lapsedAt: number | null;
  change: SyncChange | null;
  /** No new change of the sync set before. */
  changeAfter: number;
  /** Registry version known to be on a majority. */
  establishedVersion: number;
  /** A newer version seen on the own server, on its way to a majority. */
  pending: { readonly version: number; readonly lsn: Lsn; readonly since: number } | null;
  /** A membership or flags write is in flight. */
  writing: boolean;
  /** synchronous_standby_names of the server's own files when last read; undefined = not read yet. */
  fileWish: string | null | undefined;
  /** The wish in force as text; null = not known yet. */
  wishText: string | null;
  /** The names this worker last set or saw in their place; null = the user's own setting was left alone so far. */
  appliedNames: string | null;
  refusedWish: string | null;
  /** Registered nodes the wish names, in its order. */
  wishedMembers: readonly string[];
  /** Last time each node was seen streaming from us, and how far it had flushed then. */
  readonly streamingAt: Map<string, number>;
  readonly flushedTo: Map<string, Lsn>;
  wishAt: number;
  flagsSent: string;
  heirs: Heirs | null;
  probedAt: number;
  ownAliveAt: number;
  /** Until when the lease was good by its renewals when it was last held. */
  leaseUntil: number;
  async: boolean;
  fenceCleared: boolean;
  resolved: {
    readonly text: string;
    readonly nodes: readonly Voter[];
    readonly wish: Wish | WishProblem;
  } | null;
}

/** A change of the synchronous set under way. */
export interface SyncChange {
  readonly target: SyncRow;
  readonly path: 'registry-first' | 'under-hold';
  phase: 'hold' | 'prove' | 'flush' | 'write' | 'establish' | 'apply';
  since: number;
  lsn: Lsn | null;
  sent: boolean;
}

/** A switchover under way, on the master's side, until its server is stopped. */
export interface Handover {
  readonly request: number;
  /** Chosen by the worker where the request names nobody. */
  target: string | null;
  phase: 'check' | 'accept' | 'checkpoint' | 'pause' | 'mark' | 'reach' | 'resume' | 'tell';
  since: number;
  sent: boolean;
  /** End of the row that says handing-over: the target must have it before this server stops. */
  lsn: Lsn | null;
  /** What to write of the request when it ends here. */
  outcome: { readonly state: RequestState; readonly reason: string } | null;
}

/** Who may be the next master, in order, from which nodes and wish; what was last told of it. */
export interface Heirs {
  readonly nodes: readonly Voter[];
  readonly wished: readonly string[];
  readonly names: readonly string[];
  readonly next: string | null;
  readonly told: string;
}

/** The user's wish, resolved for one master. */
export interface Wish {
  readonly kind: 'wish';
  readonly text: string;
  readonly method: 'priority' | 'quorum';
  /** 0 = sync off. */
  readonly needed: number;
  /** Registered nodes named in the wish, in its order, without the master itself. */
  readonly members: readonly string[];
}

export type WishProblem = { readonly kind: 'refused'; readonly why: string };
