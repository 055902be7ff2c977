/**
 * Fills an empty folder with a base copy of a running server: pg_basebackup where there is one, else PostgreSQL's backup
 * functions (backup-functions.ts). Ends by itself when the source falls silent.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describeFailure, runProgram } from '../run-command.js';
import { type ProgramAccess, withProgramAccess } from '../secrets.js';
import { copyThroughFunctions } from './backup-functions.js';
import { whileAnswering } from './source-watch.js';

export interface CopyProgress {
  readonly doneBytes: number;
  /** An estimate; null while unknown. */
  readonly totalBytes: number | null;
}

export interface FillOptions {
  readonly source: string;
  readonly binDirectory: string;
  readonly checkpoint?: 'fast' | 'spread';
  /** As pg_basebackup's --max-rate takes it. */
  readonly rateLimit?: string;
  /** One that is there: holds the WAL from the copy's begin until the standby streams by it. */
  readonly slot?: string;
  /** OLD=NEW */
  readonly tablespaces?: readonly string[];
  readonly onProgress?: (progress: CopyProgress) => void;
  readonly signal?: AbortSignal;
  /** A source that answers nobody for so long ends the copy. */
  readonly silentMs?: number;
}

const copyBoundMs = 24 * 3_600_000;

export function hasBaseBackup(binDirectory: string): boolean {
  return existsSync(join(binDirectory, 'pg_basebackup'));
}

/** Resolves with how it was done. */
export function fillCopy(options: FillOptions, folder: string): Promise<string> {
  const work = (signal: AbortSignal) => fill({ ...options, signal }, folder);
  return whileAnswering(options.source, work, options.signal, options.silentMs);
}

async function fill(options: FillOptions, folder: string): Promise<string> {
  const { source } = options;
  if (!hasBaseBackup(options.binDirectory)) {
    await copyThroughFunctions(source, folder, options);
    return 'backup functions';
  }
  await withProgramAccess(source, folder, (access) => baseBackup(options, folder, access));
  return 'pg_basebackup';
}

async function baseBackup(options: FillOptions, folder: string, access: ProgramAccess): Promise<void> {
  const { signal } = options;
  const program = join(options.binDirectory, 'pg_basebackup');
  const result = await runProgram(program, argumentsOf(options, folder, access.conninfo), {
    deadlineMs: copyBoundMs,
    asOwnerOf: folder,
    environment: { ...access.environment, LC_ALL: 'C' },
    ...(signal === undefined ? {} : { signal }),
    readsAll: true,
    onOutput: (text) => reportProgress(text, options.onProgress),
  });
  if (signal?.aborted === true) throw new Error('the copy was broken off');
  if (!result.ok) {
    const words = { ...result, output: withoutProgress(result.output) };
    throw new Error(describeFailure('pg_basebackup', words, copyBoundMs));
  }
}

function argumentsOf(options: FillOptions, folder: string, source: string): readonly string[] {
  const { rateLimit, slot, tablespaces } = options;
  return [
    '-D',
    folder,
    '-X',
    'stream',
    '-c',
    options.checkpoint ?? 'fast',
    '--no-password',
    '--progress',
    ...(rateLimit === undefined ? [] : ['--max-rate', rateLimit]),
    ...(slot === undefined ? [] : ['--slot', slot]),
    ...(tablespaces ?? []).flatMap((one) => ['--tablespace-mapping', one]),
    '-d',
    source,
  ];
}

/** "  1234/5678 kB (21%), 0/1 tablespace" */
const progressPattern = /(\d+)\/(\d+) kB \(\d+%\)[^\r\n]*/g;

function reportProgress(text: string, onProgress: FillOptions['onProgress']): void {
  const [, done, total] = [...text.matchAll(progressPattern)].at(-1) ?? [];
  if (done !== undefined && total !== undefined)
    onProgress?.({ doneBytes: Number(done) * 1024, totalBytes: Number(total) * 1024 });
}

function withoutProgress(output: string): string {
  return output
    .split(/[\r\n]+/)
    .filter((line) => line.trim() !== '' && line.match(progressPattern) === null)
    .join('\n');
}
