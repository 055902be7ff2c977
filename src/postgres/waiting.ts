/** Waiting on a server's session for something that is to come about there within milliseconds. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Awaited } from '../core/effects.js';
import { formatLsn } from '../core/lsn.js';
import type { SessionContext } from './session-context.js';

const longestWaitMs = 100;
const waitStepMs = 2;

/** Asks a cheap question until the answer is yes, or the wait is over; the look that follows tells which. */
export async function waitFor(session: SessionContext, wait: Awaited): Promise<void> {
  const until = performance.now() + longestWaitMs;
  const { text, values } = questionOf(wait);
  for (;;) {
    const { rows } = await session.client.query<{ reached: boolean | null }>({
      name: wait.kind,
      text,
      values,
    });
    if (rows[0]?.reached === true || performance.now() > until) return;
    await delay(waitStepMs);
  }
}

function questionOf(wait: Awaited): { readonly text: string; readonly values: unknown[] } {
  switch (wait.kind) {
    case 'writable':
      return { text: 'select not pg_is_in_recovery() as reached', values: [] };
    case 'streaming':
      return {
        text: `select status = 'streaming' and sender_host = $1 and sender_port = $2 as reached from pg_stat_wal_receiver`,
        values: [wait.host, wait.port],
      };
    case 'flushed':
      return {
        text: `select count(*) >= $2 as reached from pg_stat_get_wal_senders() where state = 'streaming' and flush_lsn >= $1::pg_lsn`,
        values: [formatLsn(wait.lsn), wait.count],
      };
  }
}
