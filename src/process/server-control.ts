/**
 * One PostgreSQL server as processes and files: what became of it, its certain end, start, stop, the mark that lets it
 * come back only as a standby that follows nobody, rewind and copy. No decision is taken here.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { openClient } from '../postgres/connect.js';
import { copyFrom } from './base-copy.js';
import { forgetHandover, stopCleanly, wasHandingOver } from './clean-stop.js';
import { changeConfiguration, replaceFile } from './configuration-change.js';
import { lastValue, readConfigurationFile } from './configuration-file.js';
import { isCleanEnd, readControlFile } from './control-file.js';
import {
  forgetAside,
  keepAside,
  restoreConfiguration,
  restoreFromAside,
  saveConfiguration,
} from './kept-files.js';
import { endAllProcesses, endWalReceiver, serverProcesses } from './processes.js';
import { type CommandResult, describeFailure, runProgram, runShell } from './run-command.js';
import { secretEnvironment, withoutSecrets } from './secrets.js';

export type ServerCondition =
  | { readonly kind: 'running' }
  | {
      readonly kind: 'stopped';
      readonly clean: boolean;
      readonly standbySignal: boolean;
      readonly fenced: boolean;
    };

export type RewindOutcome =
  | { readonly kind: 'rewound' }
  | { readonly kind: 'nothing-to-do' }
  | { readonly kind: 'failed'; readonly reason: string };

export interface ServerControlOptions {
  /** May become known only once the server answers. */
  readonly dataDirectory: () => string;
  /** Folder of postgres, pg_ctl, pg_rewind; null = where the server was last started from. */
  readonly binDirectory: () => string | null;
  /** Shell commands for servers that systemd or pg_ctlcluster manages; empty = pg_ctl. */
  readonly startCommand: () => string;
  readonly stopCommand: () => string;
}

export interface ServerControl {
  inspect(): Promise<ServerCondition>;
  endAllProcesses(boundMs: number): Promise<boolean>;
  /** From now on nobody can start this server as a master. */
  forbidWritableStart(): void;
  markFenced(names: string | null): void;
  /** primary_conninfo in the keeper's own file; '' = none. */
  followed(): string;
  /** The mark is gone, and the server comes back as a standby of that master. */
  markStandbyOf(follow: string): void;
  start(boundMs: number, as?: 'standby' | 'master'): Promise<void>;
  /** Where the last record begins. */
  stopCleanly(deadlineMs: number): Promise<bigint>;
  stop(mode: 'fast' | 'immediate', boundMs: number): Promise<void>;
  rewind(source: string): Promise<RewindOutcome>;
  copy(source: string): Promise<string>;
  endWalReceiver(): Promise<void>;
}

const rewindBoundMs = 3_600_000;
const checkpointBoundMs = 60_000;

export function createServerControl(options: ServerControlOptions): ServerControl {
  return new LocalServerControl(options);
}

class LocalServerControl implements ServerControl {
  readonly #options: ServerControlOptions;

  constructor(options: ServerControlOptions) {
    this.#options = options;
  }

  get #data(): string {
    return this.#options.dataDirectory();
  }

  get #autoConf(): string {
    return join(this.#data, 'postgresql.auto.conf');
  }

  async inspect(): Promise<ServerCondition> {
    if (serverProcesses(this.#data).length > 0) return { kind: 'running' };
    restoreFromAside(this.#data);
    const standbySignal = existsSync(join(this.#data, 'standby.signal'));
    const clean = isCleanEnd(readControlFile(this.#data).state);
    // Looked at again after the files: a server that was started meanwhile is not stopped.
    if (serverProcesses(this.#data).length > 0) return { kind: 'running' };
    const marked = lastValue(readConfigurationFile(this.#autoConf).entries, 'pg_keeper.fenced') === 'on';
    const fenced = marked || wasHandingOver(this.#data);
    return { kind: 'stopped', clean, standbySignal, fenced };
  }

  endAllProcesses(boundMs: number): Promise<boolean> {
    return endAllProcesses(this.#data, boundMs);
  }

  forbidWritableStart(): void {
    if (!existsSync(join(this.#data, 'standby.signal'))) replaceFile(join(this.#data, 'standby.signal'), '');
  }

  markFenced(names: string | null): void {
    this.forbidWritableStart();
    changeConfiguration(this.#autoConf, {
      primary_conninfo: '',
      'pg_keeper.fenced': 'on',
      ...(names === null ? {} : { synchronous_standby_names: names }),
    });
    forgetHandover(this.#data);
  }

  followed(): string {
    return lastValue(readConfigurationFile(this.#autoConf).entries, 'primary_conninfo') ?? '';
  }

  markStandbyOf(follow: string): void {
    this.forbidWritableStart();
    changeConfiguration(this.#autoConf, { primary_conninfo: follow, 'pg_keeper.fenced': null });
  }

  async start(boundMs: number, as: 'standby' | 'master' = 'standby'): Promise<void> {
    // Whoever was here before, and wherever it broke off: this program starts standbys only, but for a handover that failed.
    if (as === 'standby') this.forbidWritableStart();
    forgetHandover(this.#data);
    restoreFromAside(this.#data);
    if (serverProcesses(this.#data).length === 0) removeStaleLocks(this.#data);
    const command = this.#options.startCommand();
    const seconds = String(Math.ceil(boundMs / 1000));
    // restart and not start: it repeats the options of the last start, such as Debian's config_file.
    const args = [
      existsSync(join(this.#data, 'postmaster.opts')) ? 'restart' : 'start',
      '-D',
      this.#data,
      '-w',
      '-t',
      seconds,
      '-s',
      '-l',
      join(this.#data, 'pgkeeper-start.log'),
    ];
    const result = await this.#run(command, 'pg_ctl', args, boundMs + 5000);
    // A standby that is still replaying when the time is up has started all the same.
    if (!result.ok && serverProcesses(this.#data).length === 0)
      throw new Error(describeFailure('starting the server', result, boundMs) + this.#startLog());
  }

  #startLog(): string {
    try {
      const lines = readFileSync(join(this.#data, 'pgkeeper-start.log'), 'utf8').trim().split('\n');
      return ` | ${lines
        .filter((text) => /FATAL|ERROR|HINT/.test(text))
        .slice(-2)
        .join(' | ')}`;
    } catch {
      return '';
    }
  }

  stopCleanly(deadlineMs: number): Promise<bigint> {
    const command = this.#options.stopCommand();
    const byCommand = command === '' ? null : () => this.stop('fast', deadlineMs);
    return stopCleanly({ dataDirectory: this.#data, byCommand, deadlineMs });
  }

  async stop(mode: 'fast' | 'immediate', boundMs: number): Promise<void> {
    if (serverProcesses(this.#data).length === 0) return;
    const seconds = String(Math.ceil(boundMs / 1000));
    const args = ['stop', '-D', this.#data, '-m', mode, '-w', '-t', seconds, '-s'];
    const result = await this.#run(this.#options.stopCommand(), 'pg_ctl', args, boundMs + 5000);
    if (!result.ok && serverProcesses(this.#data).length > 0)
      throw new Error(describeFailure('stopping the server', result, boundMs));
  }

  #run(
    command: string,
    program: string,
    args: readonly string[],
    deadlineMs: number,
  ): Promise<CommandResult> {
    const options = {
      deadlineMs,
      asOwnerOf: this.#data,
      environment: { PGKEEPER_DATA_DIRECTORY: this.#data },
    };
    return command === ''
      ? runProgram(this.#program(program), args, options)
      : runShell(command, { deadlineMs, environment: options.environment });
  }

  #program(name: string): string {
    return join(this.#binDirectory(), name);
  }

  /** Set by the operator, or the folder of the binary in postmaster.opts. */
  #binDirectory(): string {
    const set = this.#options.binDirectory();
    if (set !== null && set !== '') return set;
    try {
      const [binary = ''] = readFileSync(join(this.#data, 'postmaster.opts'), 'utf8').split(' "');
      return dirname(binary.trim());
    } catch {
      throw new Error(
        `where PostgreSQL's programs are is not known: ${this.#data} has no postmaster.opts; set --bin-directory`,
      );
    }
  }

  /** The server must be stopped cleanly. Its own configuration files survive. */
  async rewind(source: string): Promise<RewindOutcome> {
    const program = this.#program('pg_rewind');
    if (!existsSync(program)) return { kind: 'failed', reason: `${program} does not exist` };
    const late = await settleTimeline(source);
    if (late !== null) return { kind: 'failed', reason: late };
    const kept = saveConfiguration(this.#data);
    keepAside(this.#data, kept);
    const environment = secretEnvironment(source);
    // -R: never without standby.signal, also when this program dies right after.
    const args = [
      '-R',
      '-D',
      this.#data,
      `--source-server=${withoutSecrets(source)}`,
      ...this.#restoreOption(),
    ];
    const result = await runProgram(program, args, {
      deadlineMs: rewindBoundMs,
      asOwnerOf: this.#data,
      environment,
    });
    // pg_rewind removes it first and writes it last.
    this.forbidWritableStart();
    restoreConfiguration(this.#data, kept);
    forgetAside(this.#data);
    if (!result.ok) return { kind: 'failed', reason: describeFailure('pg_rewind', result, rewindBoundMs) };
    return { kind: /no rewind required/.test(result.output) ? 'nothing-to-do' : 'rewound' };
  }

  /** WAL that the rewind needs may be in the archive only. */
  #restoreOption(): readonly string[] {
    return (lastValue(readConfigurationFile(this.#autoConf).entries, 'restore_command') ?? '') === ''
      ? []
      : ['--restore-target-wal'];
  }

  copy(source: string): Promise<string> {
    return copyFrom({ source, dataDirectory: this.#data, binDirectory: this.#binDirectory() });
  }

  async endWalReceiver(): Promise<void> {
    endWalReceiver(this.#data);
  }
}

/**
 * pg_rewind reads the source's timeline from its control file, which knows a promotion only after the next checkpoint:
 * asks for one, and waits. Null when done, else why not.
 */
async function settleTimeline(source: string): Promise<string | null> {
  try {
    const client = await openClient(source, { applicationName: 'pgkeeper rejoin', connectTimeoutMs: 10_000 });
    try {
      await client.query(`set statement_timeout = ${checkpointBoundMs}`);
      await client.query('checkpoint').catch(() => undefined);
      const { rows } = await client.query<{ settled: boolean }>(
        `select ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int = (pg_control_checkpoint()).timeline_id as settled`,
      );
      return rows[0]?.settled === true
        ? null
        : 'the master has written no checkpoint since its promotion; grant pg_checkpoint to the role';
    } finally {
      await client.end().catch(() => undefined);
    }
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/**
 * The lock files of a server that is dead for certain. Its postmaster may still be a zombie, or its number belong to
 * another program by now: either would stop the next start.
 */
function removeStaleLocks(dataDirectory: string): void {
  const pidFile = join(dataDirectory, 'postmaster.pid');
  if (!existsSync(pidFile)) return;
  // Lines: pid, data directory, start time, port, socket folder, ...
  const [pid = '', , , port = '', socketFolder = ''] = readFileSync(pidFile, 'utf8').split('\n');
  const socketLock = join(socketFolder, `.s.PGSQL.${port}.lock`);
  const isOurs =
    socketFolder !== '' && existsSync(socketLock) && readFileSync(socketLock, 'utf8').split('\n')[0] === pid;
  if (isOurs) rmSync(socketLock, { force: true });
  rmSync(pidFile, { force: true });
}
