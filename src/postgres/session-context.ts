/** What every command on a kept session knows of it, and the error that says how a session ended. */
import type pg from 'pg';
import type { WitnessKey } from '../core/effects.js';
import type { LinkFailure, Observation } from '../core/types.js';

export class CommandError extends Error {
  readonly kind: LinkFailure;
  constructor(kind: LinkFailure, message: string) {
    super(message);
    this.name = 'CommandError';
    this.kind = kind;
  }
}

export interface SessionContext {
  readonly client: pg.Client;
  readonly conninfo: string;
  readonly ownName: string;
  /** The cluster for which that server is a witness; null = a node. */
  readonly witness: WitnessKey | null;
  /** Null on every server but the own one. */
  readonly endsWithinRecord: ((look: Observation) => boolean) | null;
  readonly leaseTtlMs: () => number;
  readonly applicationName: () => string;
  /** pgkeeper.cluster_state (of a witness: its table) was there at the last look. */
  schemaKnown: boolean;
  backendPid: number | null;
}
