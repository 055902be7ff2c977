/** Everything a keeper can ask for. The worker hands each to an adapter, which answers with an event. */
import type { Lsn } from './lsn.js';
import type { ReasonRecord } from './reasons.js';
import type { Registry, Voter } from './types.js';

/**
 * What a look may wait for on the server's side, for a tenth of a second at most: cheaper and sooner than looking again
 * and again. The look that comes back says whether it came about.
 */
export type Awaited =
  | { readonly kind: 'writable' }
  | { readonly kind: 'streaming'; readonly host: string; readonly port: number }
  | { readonly kind: 'flushed'; readonly lsn: Lsn; readonly count: number };

/** A command on the kept session of one voter. One at a time per voter; each is answered, or the session ends. */
export type Command =
  | { readonly kind: 'observe'; readonly wait?: Awaited }
  | { readonly kind: 'renew' }
  /** `knownMs`: how old a worker's session must be to be told of. */
  | { readonly kind: 'try-vote'; readonly knownMs: number }
  | { readonly kind: 'release' }
  /**
   * Point that standby at a server by primary_conninfo, with a short wal_retrieve_retry_interval. A primary_slot_name that is
   * not among that server's `slots` would keep it from streaming, and is taken away.
   */
  | { readonly kind: 'follow'; readonly conninfo: string; readonly slots?: readonly string[] }
  /** Make the own server promote without the startup process asleep in wal_retrieve_retry_interval. */
  | { readonly kind: 'shorten-retry' }
  | { readonly kind: 'reset-retry' }
  | { readonly kind: 'set-names'; readonly names: string | null }
  /** The mark of a server that may only come back as a standby goes: it follows, or leads, again. */
  | { readonly kind: 'clear-fence' }
  | { readonly kind: 'end-sessions' }
  | { readonly kind: 'resume-replay' }
  /** primary_conninfo for its own file first: whose promotion this is. */
  | { readonly kind: 'promote'; readonly conninfo: string }
  /** Is the hold really in effect: fresh session, every walsender, a marker commit seen waiting? */
  | { readonly kind: 'prove-hold' }
  /** `promoted`: a new timeline, so a fresh promotion id; a master that keeps its place keeps its id. */
  | {
      readonly kind: 'write-epoch';
      readonly epoch: number;
      readonly sync: SyncRow;
      readonly promoted: boolean;
      /** The newest row the election was judged by: where a witness alone has it, this server takes it over. */
      readonly basis: Registry;
    }
  /** The row and the ballot for a witness, which keeps what is newer of each. Answered with a look at what it has then. */
  | { readonly kind: 'write-witness'; readonly registry: Registry | null; readonly ballot: number }
  | { readonly kind: 'write-sync'; readonly sync: SyncRow }
  | { readonly kind: 'write-voters'; readonly voters: readonly Voter[] }
  | {
      readonly kind: 'write-flags';
      readonly nextMaster: string | null;
      readonly syncNames: readonly string[];
    }
  | { readonly kind: 'read-wish' }
  /** Does an operator ask this node to take over? */
  | { readonly kind: 'read-word' }
  /** What became of an open request; `target` = whom the worker has chosen. */
  | {
      readonly kind: 'write-request';
      readonly id: number;
      readonly state: RequestState;
      readonly target: string | null;
      readonly reason: string;
      readonly epoch: number;
    }
  /** The pause is over: written by a master that holds the lease. */
  | { readonly kind: 'end-pause' }
  | { readonly kind: 'report'; readonly events: readonly ReasonRecord[]; readonly state: string };

export type RequestState = 'running' | 'handing-over' | 'done' | 'failed' | 'refused' | 'timed-out';

/** The synchronous part of the registry row. */
export interface SyncRow {
  readonly wish: string;
  readonly members: readonly string[];
  readonly needed: number;
  readonly wished: number;
}

/** One witness serves many clusters: the lock is on the cluster's identifier, the row is that of the token. */
export interface WitnessKey {
  readonly systemIdentifier: string;
  readonly token: string;
}

export type Effect =
  | {
      readonly kind: 'open';
      readonly voter: string;
      readonly conninfo: string | null;
      readonly database: string | null;
      readonly attempt: number;
      /** For a witness: of which cluster, and under which token its row is kept. */
      readonly witness: WitnessKey | null;
    }
  | { readonly kind: 'close'; readonly voter: string }
  | {
      readonly kind: 'command';
      readonly voter: string;
      readonly id: number;
      readonly command: Command;
      readonly deadlineMs: number;
    }
  | {
      readonly kind: 'indirect-poll';
      readonly via: string;
      readonly conninfo: string;
      readonly round: number;
      readonly deadlineMs: number;
    }
  | { readonly kind: 'probe-own'; readonly deadlineMs: number }
  | { readonly kind: 'listen'; readonly conninfo: string | null; readonly voter: string | null }
  | { readonly kind: 'inspect-server' }
  /** Kill what is left of the own server and make sure it can only come back as a standby that follows nobody. */
  | { readonly kind: 'retire-server'; readonly names: string | null }
  /** As a standby always, but for a master that stopped its server itself and still holds the lease. */
  | { readonly kind: 'start-server'; readonly as: 'standby' | 'master' }
  /** A checkpoint of the own server, so that its stop has little left to write. */
  | { readonly kind: 'checkpoint-own'; readonly deadlineMs: number }
  /** PAUSE on every PgBouncer that is named. All of them, or none is left paused. */
  | { readonly kind: 'pause-pools'; readonly deadlineMs: number }
  /** RESUME on every one, after it has read its files again. */
  | { readonly kind: 'resume-pools' }
  /** A clean stop, after which every standby that streams has all of its WAL. */
  | { readonly kind: 'stop-server'; readonly deadlineMs: number }
  | {
      readonly kind: 'rejoin-server';
      readonly source: string;
      readonly mode: 'rewind-or-copy' | 'copy';
      readonly follow: string;
    }
  | { readonly kind: 'end-wal-receiver' }
  | {
      readonly kind: 'run-hook';
      readonly hook: 'fencing' | 'after' | 'async';
      readonly event: string;
      readonly oldMaster: string | null;
      readonly newMaster: string | null;
      readonly epoch: number;
    };
