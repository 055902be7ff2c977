/** What became of a request, and the end of a pause: written like the registry, of which both are part. */
import { sql } from 'kysely';
import type { Command } from '../core/effects.js';
import type { Answer } from '../core/events.js';
import { writtenOrBusy } from './registry.js';
import type { SessionContext } from './session-context.js';

/** Only an open request changes: what is finished stays. */
export function writeRequest(
  session: SessionContext,
  { id, state, target, reason, epoch }: Extract<Command, { kind: 'write-request' }>,
): Promise<Answer> {
  return writtenOrBusy(session, async (trx) => {
    await trx
      .updateTable('requests')
      .set({
        state,
        target,
        reason,
        epoch: String(epoch),
        changed_at: sql`clock_timestamp()`,
      })
      .where('id', '=', String(id))
      .where('state', 'in', ['asked', 'running', 'handing-over'])
      .execute();
  });
}

export function endPause(session: SessionContext): Promise<Answer> {
  return writtenOrBusy(session, async (trx) => {
    await trx.updateTable('cluster_plan').set({ pause: 'off' }).where('pause', '<>', 'off').execute();
  });
}
