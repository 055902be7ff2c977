/**
 * Is `pgkeeper_hold` really in effect? SHOW proves nothing: waiting is switched on by the checkpointer alone, and every
 * walsender keeps its own copy of names and k. Proof, all of it: a fresh session shows the hold (so the postmaster has
 * reloaded and every later process starts with it), no walsender has a priority, a marker commit is seen waiting.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { withKeywords } from '../core/conninfo.js';
import type { Answer } from '../core/events.js';
import { holdNames } from '../core/types.js';
import { discardClient, openClient } from './connect.js';
import type { SessionContext } from './session-context.js';

/** It is asked for again at once, each time by a new connection and a commit. */
const againMs = 20;

async function notProven(detail: string): Promise<Answer> {
  await delay(againMs);
  return { kind: 'proven', proven: false, detail };
}

export async function proveHold(session: SessionContext, deadlineMs: number): Promise<Answer> {
  const until = performance.now() + deadlineMs * 0.7;
  const { rows: database } = await session.client.query<{ name: string }>(
    'select current_database() as name',
  );
  const marker = await openClient(
    withKeywords(session.conninfo, { dbname: database[0]?.name ?? 'postgres' }),
    {
      applicationName: 'pgkeeper marker',
      connectTimeoutMs: deadlineMs / 2,
    },
  );
  try {
    const { rows } = await marker.query<{ names: string; pid: number }>(
      `select current_setting('synchronous_standby_names') as names, pg_backend_pid() as pid`,
    );
    if (rows[0]?.names !== holdNames) return notProven('the postmaster has not reloaded yet');
    let finished = false;
    marker
      .query(`set synchronous_commit = on; select pg_logical_emit_message(true, 'pgkeeper', 'marker')`)
      .then(
        () => {
          finished = true;
        },
        () => undefined,
      );
    return await watch(session, rows[0].pid, () => finished, until);
  } finally {
    // The waiting marker is ended from this session; its transaction is a message nobody reads.
    discardClient(marker);
    await session.client.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pgkeeper marker' and usename = current_user`,
    );
  }
}

async function watch(
  session: SessionContext,
  pid: number,
  finished: () => boolean,
  until: number,
): Promise<Answer> {
  for (;;) {
    const { rows } = await session.client.query<{ waits: boolean | null; prioritised: number }>(
      `select (select wait_event = 'SyncRep' from pg_stat_activity where pid = $1) as waits,
        (select count(*)::int from pg_stat_replication where sync_priority > 0) as prioritised`,
      [pid],
    );
    if (finished()) return notProven('the marker commit did not wait');
    const waits = rows[0]?.waits === true;
    const prioritised = rows[0]?.prioritised ?? 0;
    if (waits && prioritised === 0)
      return { kind: 'proven', proven: true, detail: 'marker waits, no walsender counts' };
    if (performance.now() > until) {
      return {
        kind: 'proven',
        proven: false,
        detail: waits ? `${prioritised} walsenders still count` : 'no marker seen waiting',
      };
    }
    await delay(3);
  }
}
