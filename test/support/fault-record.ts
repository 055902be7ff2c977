/** What a case of the fault suite measured, as a line of the file that docs/faults.md is made from. */
import { appendFileSync } from 'node:fs';
import type { ReasonCode } from '../../src/core/reasons.js';
import { type Acknowledged, overlapOf } from '../../src/testbed/writer.js';
import { pgkeeper } from './command-line.js';
import { parsed } from './outcomes.js';

export interface FaultRecord {
  readonly cluster: ClusterFacts;
  readonly suite: string;
  readonly name: string;
  /** null = it did not run, `events` says why. */
  readonly measured: Measured | null;
  readonly events: string;
  /** One by one, to look into what surprises. */
  readonly told?: readonly ToldEvent[];
}

export interface ClusterFacts {
  readonly postgres: string;
  readonly failoverTimeMs: number;
  readonly leaseTtlMs: number;
}

export interface Measured {
  readonly sync: boolean;
  readonly acknowledged: number;
  readonly lost: number;
  readonly overlapMs: number;
  /** Longest time without any acknowledged row, from the fault on. */
  readonly silenceMs: number;
  readonly promotions: number;
}

/** The file that scripts/faults.mjs names; nothing is kept otherwise. */
export function keepRecord(record: FaultRecord): void {
  const path = process.env['PGKEEPER_FAULT_RECORDS'];
  if (path !== undefined) appendFileSync(path, `${JSON.stringify(record)}\n`);
}

/** The longest time from `since` to `until` in which no client anywhere was told that its row is safe. */
export function longestSilence(all: readonly Acknowledged[], since: number, until: number): number {
  const times = all.map(({ at }) => at).filter((at) => at > since && at < until);
  const marks = [since, ...times.sort((a, b) => a - b), until];
  return Math.max(...marks.slice(1).map((at, i) => at - (marks[i] ?? at)));
}

/** `lost`: the rows that the master of the end does not have. */
export function overlapSince(all: readonly Acknowledged[], since: number, lost: readonly number[]): number {
  const late = all.filter(({ at }) => at > since);
  return overlapOf(late, new Set(lost));
}

export interface ToldEvent {
  readonly id: number;
  readonly at: string;
  readonly node: string;
  readonly code: ReasonCode;
}

/** What `pgkeeper events` tells on that server, oldest first. */
export async function toldBy(conninfo: string): Promise<readonly ToldEvent[]> {
  return parsed<ToldEvent[]>(await pgkeeper(['events', '--json', '--limit', '600', '-d', conninfo]));
}

/** Every fault has many of these, and they explain little. */
const background: ReadonlySet<ReasonCode> = new Set<ReasonCode>([
  'node-lost',
  'node-back',
  'node-following',
  'next-master',
  'standby-connected',
  'sync-change',
  'server-back',
  'master-back',
]);

/** Node by node, the codes in the order of their first time, with how often there were more. */
export function summaryOf(events: readonly ToldEvent[], nameOf: (node: string) => string): string {
  const shown = events
    .filter(({ code }) => !background.has(code))
    .sort((a, b) => a.at.localeCompare(b.at) || a.id - b.id);
  const nodes = new Map<string, Map<string, number>>();
  for (const { node, code } of shown) {
    const codes = nodes.get(node) ?? new Map<string, number>();
    codes.set(code, (codes.get(code) ?? 0) + 1);
    nodes.set(node, codes);
  }
  const partOf = (node: string, codes: ReadonlyMap<string, number>) =>
    `${nameOf(node)}: ${[...codes].map(([code, times]) => (times === 1 ? code : `${code} x${times}`)).join(', ')}`;
  return [...nodes].map(([node, codes]) => partOf(node, codes)).join('; ');
}
