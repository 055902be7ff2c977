/** WAL as files: which segments of pg_wal hold what, and how much was written, without and with pg_waldump. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { formatLsn, type Lsn, parseLsn } from '../../core/lsn.js';
import { bytesAt } from '../bytes-at.js';
import { runProgram } from '../run-command.js';
import { hex8 } from './timelines.js';

const pageBytes = 8192;
const waldumpBoundMs = 60_000;

export interface Segment {
  readonly name: string;
  readonly path: string;
  readonly timeline: number;
  readonly start: Lsn;
  readonly bytes: number;
}

/** Segments with WAL in them, in order. What was only prepared for later, or has an old content, is left out. */
export function writtenSegments(dataDirectory: string): readonly Segment[] {
  const folder = join(dataDirectory, 'pg_wal');
  return readdirSync(folder)
    .filter((name) => /^[0-9A-F]{24}(\.partial)?$/.test(name))
    .sort()
    .flatMap((name) => {
      const path = join(folder, name);
      const bytes = statSync(path).size;
      if (bytes === 0) return [];
      const timeline = Number.parseInt(name.slice(0, 8), 16);
      const perFile = 0x1_0000_0000n / BigInt(bytes);
      const number = BigInt(`0x${name.slice(8, 16)}`) * perFile + BigInt(`0x${name.slice(16, 24)}`);
      const start = (number * BigInt(bytes)) as Lsn;
      return pageAt(path, 0) === start ? [{ name, path, timeline, start, bytes }] : [];
    });
}

/** The address that a page of WAL says it has; null where none was written. */
function pageAt(path: string, offset: number): Lsn | null {
  const bytes = bytesAt(path, offset, 16);
  return bytes.readUInt16LE(0) === 0 ? null : (bytes.readBigUInt64LE(8) as Lsn);
}

/** Start of the last written page: the end of WAL is within the page that begins there. */
export function lastPage(segment: Segment): Lsn {
  let last = 0;
  for (let offset = 0; offset < segment.bytes; offset += pageBytes) {
    if (pageAt(segment.path, offset) !== segment.start + BigInt(offset)) break;
    last = offset;
  }
  return (segment.start + BigInt(last)) as Lsn;
}

export interface WalContents {
  readonly to: Lsn;
  /** Transactions that committed. */
  readonly commits: number;
}

/**
 * Where the last record ends. The first is said by 15 and newer; 14 tells it only with the reason why it read no further. The
 * last is where the last record begins, which is better than nothing.
 */
const endPatterns: readonly RegExp[] = [
  / and ([0-9A-F]+\/[0-9A-F]+):/,
  /invalid record length at ([0-9A-F]+\/[0-9A-F]+)/,
  /WAL record at ([0-9A-F]+\/[0-9A-F]+)/,
];

/** What pg_waldump finds from a position on; null where it is not installed, 'nothing' where nothing was written there. */
export async function walContents(
  binDirectory: string,
  dataDirectory: string,
  timeline: number,
  from: Lsn,
): Promise<WalContents | 'nothing' | null> {
  const program = join(binDirectory, 'pg_waldump');
  if (!existsSync(program)) return null;
  let output = '';
  const folder = join(dataDirectory, 'pg_wal');
  await runProgram(program, ['-p', folder, '-t', String(timeline), '-s', formatLsn(from), '--stats=record'], {
    deadlineMs: waldumpBoundMs,
    asOwnerOf: dataDirectory,
    environment: { LC_ALL: 'C' },
    readsAll: true,
    onOutput: (piece) => {
      output += piece;
    },
  });
  if (/could not find a valid record|could not find any WAL file|could not find file/.test(output))
    return 'nothing';
  // It ends with an error at the end of WAL, which is no failure here.
  const commits = [...output.matchAll(/^\s*Transaction\/COMMIT\S*\s+(\d+)/gm)]
    .map(([, count]) => Number(count))
    .reduce((sum, count) => sum + count, 0);
  const end = endPatterns.map((pattern) => pattern.exec(output)).find((match) => match !== null);
  return end?.[1] === undefined ? null : { to: parseLsn(end[1]), commits };
}

export function historyFiles(dataDirectory: string, timelines: ReadonlySet<number>): readonly string[] {
  return [...timelines]
    .filter((timeline) => timeline > 1)
    .map((timeline) => join(dataDirectory, 'pg_wal', `${hex8(timeline)}.history`))
    .filter((path) => existsSync(path));
}
