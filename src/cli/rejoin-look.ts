/** `pgkeeper rejoin`: what the two servers show of their past, and when the one streams from the other. */
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { messageOf } from '../core/error-text.js';
import { isOtherHistory, isSettled } from '../core/ranking.js';
import type { Observation } from '../core/types.js';
import { openClient, queryWithDeadline } from '../postgres/connect.js';
import { type ObservationRow, observationOf, observeSql } from '../postgres/observation.js';
import { connect } from './session.js';

export interface Past {
  readonly observation: Observation;
  readonly major: number;
}

const askBoundMs = 5000;
const pollMs = 200;

async function look(client: pg.Client): Promise<Past> {
  const ask = (withRegistry: boolean) =>
    queryWithDeadline(client, observeSql(withRegistry), ['pgkeeper rejoin'], askBoundMs);
  const { rows } = await ask(true).catch((error: unknown) => {
    // Not installed, or no right to read it.
    const { code } = error as { readonly code?: string };
    if (code === '42P01' || code === '3F000' || code === '42501') return ask(false);
    throw error;
  });
  const version = await queryWithDeadline(
    client,
    `select current_setting('server_version_num')::int / 10000 as major`,
    [],
    askBoundMs,
  );
  const { major } = version.rows[0] as { readonly major: number };
  return { observation: observationOf(rows[0] as ObservationRow), major };
}

/** A CommandFailure with the exit code for it where that server does not answer. */
export async function sourceLook(source: string): Promise<Past> {
  const { client } = await connect(source);
  try {
    return await look(client);
  } finally {
    client.end().catch(() => undefined);
  }
}

/** The own server, as soon as it has replayed all it has. */
export async function ownPast(conninfo: string, boundMs: number): Promise<Past> {
  const until = performance.now() + boundMs;
  let last = 'no answer';
  for (;;) {
    try {
      const client = await openClient(conninfo, {
        applicationName: 'pgkeeper rejoin',
        connectTimeoutMs: askBoundMs,
      });
      try {
        const past = await look(client);
        if (!past.observation.inRecovery || isSettled(past.observation)) return past;
        last = 'it has not replayed all of its WAL';
      } finally {
        client.end().catch(() => undefined);
      }
    } catch (error) {
      last = messageOf(error);
    }
    if (performance.now() > until) throw new Error(`the own server: ${last}`);
    await delay(pollMs);
  }
}

/** A standby that receives what this master writes, on its history: nothing about it is to be mended. */
export function isInPlace(ours: Observation, theirs: Observation): boolean {
  return (
    ours.inRecovery &&
    !ours.fenced &&
    ours.walReceiver?.status === 'streaming' &&
    !theirs.inRecovery &&
    ours.systemIdentifier === theirs.systemIdentifier &&
    ours.timeline === theirs.timeline &&
    !isOtherHistory(ours, theirs)
  );
}

export async function streamsUnder(source: string, name: string, boundMs: number): Promise<boolean> {
  const { client } = await connect(source);
  const until = performance.now() + boundMs;
  try {
    for (;;) {
      const { rows } = await queryWithDeadline(
        client,
        `select from pg_stat_replication where application_name = $1 and state = 'streaming'`,
        [name],
        askBoundMs,
      );
      if (rows.length > 0) return true;
      if (performance.now() > until) return false;
      await delay(pollMs);
    }
  } finally {
    client.end().catch(() => undefined);
  }
}
