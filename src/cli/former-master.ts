/** After a switchover: the wait, bounded, until the server of the former master answers again, as a standby that streams. */
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../core/error-text.js';
import { openClient, queryWithDeadline } from '../postgres/connect.js';
import { classifyFailure } from '../postgres/failure.js';
import { failureText } from './failure-text.js';

export interface FormerMaster {
  readonly name: string;
  readonly conninfo: string;
}

export interface Return {
  readonly name: string;
  readonly back: boolean;
  readonly waitedMs: number;
  /** What was seen of it last, where it is not back. */
  readonly seen: string;
}

const longestMs = 10_000;
const lookEveryMs = 100;
const answerMs = 2000;

/** The status of the receiver is hidden from a role without pg_monitor; that there is one is not. */
const lookSql = `select pg_is_in_recovery() as standby,
  exists (select from pg_stat_wal_receiver where coalesce(status, 'streaming') = 'streaming') as streams`;

export async function untilBack({ name, conninfo }: FormerMaster, boundMs: number): Promise<Return> {
  const started = performance.now();
  const waited = () => performance.now() - started;
  for (;;) {
    const seen = await lookAt(conninfo);
    if (seen === null || waited() > Math.min(boundMs, longestMs))
      return { name, back: seen === null, waitedMs: waited(), seen: seen ?? '' };
    await delay(lookEveryMs);
  }
}

/** Null = it is back; else why not. */
async function lookAt(conninfo: string): Promise<string | null> {
  try {
    const client = await openClient(conninfo, { applicationName: 'pgkeeper', connectTimeoutMs: answerMs });
    try {
      const { rows } = await queryWithDeadline(client, lookSql, [], answerMs);
      const row = rows[0] as { readonly standby: boolean; readonly streams: boolean } | undefined;
      if (row?.standby !== true) return 'its server is no standby';
      return row.streams ? null : 'its server is a standby that does not stream yet';
    } finally {
      client.end().catch(() => undefined);
    }
  } catch (error) {
    return failureText(classifyFailure(error)) || messageOf(error);
  }
}

export function backLine({ name, back, waitedMs, seen }: Return): string {
  return back
    ? `${name} is back as a standby after ${(waitedMs / 1000).toFixed(1)} s`
    : `${name} is not back yet: ${seen}. Its worker brings it back; pgkeeper status on the new master shows it`;
}
