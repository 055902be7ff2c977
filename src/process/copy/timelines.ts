/**
 * Where two histories part: timeline history files, the own ones from disk, the source's asked over the replication protocol, for
 * which the right to stream is enough.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Lsn, parseLsn } from '../../core/lsn.js';
import { openClient, queryWithDeadline } from '../../postgres/connect.js';

/** A timeline that has ended, and where. */
export interface PastTimeline {
  readonly timeline: number;
  readonly end: Lsn;
}

export interface History {
  readonly timeline: number;
  /** Oldest first. */
  readonly past: readonly PastTimeline[];
}

export interface SourceHistory extends History {
  readonly systemIdentifier: string;
  readonly position: Lsn;
}

const boundMs = 10_000;

/** Lines: number, tab, switch point, tab, reason. */
export function parseHistory(text: string): readonly PastTimeline[] {
  return text.split('\n').flatMap((line) => {
    const [, timeline, end] = /^\s*(\d+)\s+([0-9A-F]+\/[0-9A-F]+)/i.exec(line) ?? [];
    return timeline === undefined || end === undefined
      ? []
      : [{ timeline: Number(timeline), end: parseLsn(end) }];
  });
}

export function hex8(value: number): string {
  return value.toString(16).toUpperCase().padStart(8, '0');
}

export function ownHistory(dataDirectory: string, timeline: number): History {
  if (timeline === 1) return { timeline, past: [] };
  const text = readFileSync(join(dataDirectory, 'pg_wal', `${hex8(timeline)}.history`), 'utf8');
  return { timeline, past: parseHistory(text) };
}

/** Throws what the source says when it lets nobody stream. */
export async function sourceHistory(source: string): Promise<SourceHistory> {
  const client = await openClient(source, {
    applicationName: 'pgkeeper rejoin',
    connectTimeoutMs: boundMs,
    replication: true,
  });
  try {
    const { rows } = await queryWithDeadline(client, 'IDENTIFY_SYSTEM', [], boundMs);
    const row = rows[0] as { readonly systemid: string; readonly timeline: number; readonly xlogpos: string };
    const timeline = Number(row.timeline);
    const known = { systemIdentifier: row.systemid, timeline, position: parseLsn(row.xlogpos) };
    if (timeline === 1) return { ...known, past: [] };
    const found = await queryWithDeadline(client, `TIMELINE_HISTORY ${timeline}`, [], boundMs);
    const content = (found.rows[0] as { readonly content: unknown } | undefined)?.content;
    return { ...known, past: parseHistory(String(content)) };
  } finally {
    client.end().catch(() => undefined);
  }
}

/** The last timeline both were on, and where the first of them left it; null = neither has left it yet. */
export interface Parting {
  readonly timeline: number;
  readonly end: Lsn | null;
}

/** By the numbers alone: two promotions can have one number (see ranking.ts). */
export function partingOf(a: History, b: History): Parting | null {
  const [left, right] = [spansOf(a), spansOf(b)];
  let last: Parting | null = null;
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const [x, y] = [left[i], right[i]];
    if (x === undefined || y === undefined || x.timeline !== y.timeline) break;
    last = { timeline: x.timeline, end: earlier(x.end, y.end) };
    if (x.end !== y.end) break;
  }
  return last;
}

function spansOf({ timeline, past }: History): readonly Parting[] {
  return [...past, { timeline, end: null }];
}

function earlier(a: Lsn | null, b: Lsn | null): Lsn | null {
  if (a === null) return b;
  return b === null || a < b ? a : b;
}
