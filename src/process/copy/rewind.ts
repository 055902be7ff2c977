/**
 * pg_rewind: what it needs, told before it changes anything; the mark that stands while it changes data; the server's own
 * configuration kept through it.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';
import { messageOf } from '../../core/error-text.js';
import { openClient, targetOf } from '../../postgres/connect.js';
import { replaceFile } from '../configuration-change.js';
import { lastValue, readConfigurationFile } from '../configuration-file.js';
import { describeFailure, runProgram } from '../run-command.js';
import { type ProgramAccess, withProgramAccess } from '../secrets.js';
import { forgetAside, keepAside, restoreConfiguration, saveConfiguration } from './kept-files.js';
import { whileAnswering } from './source-watch.js';
import { clearUnfinished, endOrphans, markUnfinished } from './unfinished-data.js';

export type RewindOutcome =
  | { readonly kind: 'rewound' }
  | { readonly kind: 'nothing-to-do' }
  | { readonly kind: 'failed'; readonly reason: string };

export interface RewindRequest {
  readonly source: string;
  readonly dataDirectory: string;
  readonly program: string;
}

const rewindBoundMs = 6 * 3_600_000;
const checkpointBoundMs = 60_000;

/** The server must be stopped cleanly. Its own configuration files survive. */
export async function rewindTo(request: RewindRequest): Promise<RewindOutcome> {
  const { source, dataDirectory, program } = request;
  if (!existsSync(program)) return { kind: 'failed', reason: `${program} does not exist` };
  const unfit = await unfitness(source);
  if (unfit !== null) return { kind: 'failed', reason: unfit };
  endOrphans(dataDirectory);
  const kept = saveConfiguration(dataDirectory);
  keepAside(dataDirectory, kept);
  const { host, port } = targetOf(source);
  markUnfinished(dataDirectory, {
    what: 'rewind',
    source: `${host}:${port}`,
    since: new Date().toISOString(),
  });
  const outcome = await run(request);
  // pg_rewind removes it first and writes it last.
  if (!existsSync(join(dataDirectory, 'standby.signal')))
    replaceFile(join(dataDirectory, 'standby.signal'), '');
  restoreConfiguration(dataDirectory, kept);
  forgetAside(dataDirectory);
  // What broke off before its first change has left whole data: they may be the only ones of their kind.
  if (outcome.kind !== 'failed' || !outcome.changed) clearUnfinished(dataDirectory);
  return outcome;
}

type Ran =
  | Exclude<RewindOutcome, { kind: 'failed' }>
  | { readonly kind: 'failed'; readonly reason: string; readonly changed: boolean };

function run(request: RewindRequest): Promise<Ran> {
  const { source, dataDirectory } = request;
  return withProgramAccess(source, dataDirectory, (access) => runWith(request, access));
}

async function runWith(
  { source, dataDirectory, program }: RewindRequest,
  access: ProgramAccess,
): Promise<Ran> {
  // -R: never without standby.signal, also when this program dies right after.
  const args = [
    '-R',
    '--progress',
    '-D',
    dataDirectory,
    `--source-server=${access.conninfo}`,
    ...restoreOption(dataDirectory),
  ];
  let changed = false;
  let all = '';
  try {
    const result = await whileAnswering(source, async (signal) => {
      const ran = await runProgram(program, args, {
        deadlineMs: rewindBoundMs,
        asOwnerOf: dataDirectory,
        environment: { ...access.environment, LC_ALL: 'C' },
        signal,
        readsAll: true,
        onOutput: (text) => {
          all = (all + text).slice(-20_000);
          // The last words before the first change.
          changed ||= all.includes('need to copy');
        },
      });
      if (signal.aborted) throw new Error('pg_rewind was broken off');
      return ran;
    });
    if (!result.ok) return { kind: 'failed', reason: reasonOf(result), changed };
    return { kind: /no rewind required/.test(all) ? 'nothing-to-do' : 'rewound' };
  } catch (error) {
    return { kind: 'failed', reason: messageOf(error), changed };
  }
}

function reasonOf(result: Parameters<typeof describeFailure>[1]): string {
  const lines = result.output.split(/[\r\n]+/).filter((line) => !/^\s*\d+\/\d+ kB/.test(line));
  const said = describeFailure('pg_rewind', { ...result, output: lines.join('\n') }, rewindBoundMs);
  if (/wal_log_hints|data checksums/.test(result.output))
    return `${said} (set wal_log_hints = on and restart, or enable data checksums, so that the next one can be rewound)`;
  return said;
}

/** WAL that the rewind needs may be in the archive only. */
function restoreOption(dataDirectory: string): readonly string[] {
  const { entries } = readConfigurationFile(join(dataDirectory, 'postgresql.auto.conf'));
  return (lastValue(entries, 'restore_command') ?? '') === '' ? [] : ['--restore-target-wal'];
}

/** Null when that server can be the source of a rewind, else why not. */
async function unfitness(source: string): Promise<string | null> {
  try {
    const client = await openClient(source, { applicationName: 'pgkeeper rejoin', connectTimeoutMs: 10_000 });
    try {
      await client.query(`set statement_timeout = ${checkpointBoundMs}`);
      const { rows } = await client.query<{ full_page_writes: string }>(
        `select current_setting('full_page_writes') as full_page_writes`,
      );
      if (rows[0]?.full_page_writes !== 'on')
        return 'full_page_writes is off on the master, and pg_rewind needs it';
      return await settleTimeline(client);
    } finally {
      client.end().catch(() => undefined);
    }
  } catch (error) {
    return messageOf(error);
  }
}

/**
 * pg_rewind reads the source's timeline from its control file, which knows a promotion only after the next checkpoint:
 * asks for one, and waits. Null when done, else why not.
 */
async function settleTimeline(client: pg.Client): Promise<string | null> {
  await client.query('checkpoint').catch(() => undefined);
  const { rows } = await client.query<{ settled: boolean }>(
    `select ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int = (pg_control_checkpoint()).timeline_id as settled`,
  );
  return rows[0]?.settled === true
    ? null
    : 'the master has written no checkpoint since its promotion; grant pg_checkpoint to the role';
}
