/** What a worker's commands know of their session, for tests that run them without a worker. */
import type pg from 'pg';
import type { SessionContext } from '../../src/postgres/session-context.js';

export function contextOf(client: pg.Client, changes: Partial<SessionContext> = {}): SessionContext {
  return {
    client,
    conninfo: '',
    ownName: 'n1',
    witness: null,
    endsWithinRecord: null,
    leaseTtlMs: () => 1000,
    applicationName: () => 'n1',
    schemaKnown: true,
    backendPid: null,
    ...changes,
  };
}
