/**
 * One PostgreSQL server as processes and files: what became of it, its certain end, start, stop, the mark that lets it
 * come back only as a standby that follows nobody, rewind and copy. No decision is taken here.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { LostWal } from '../core/events.js';
import { fencedConninfo } from '../core/watch/following.js';
import { forgetHandover, stopCleanly, wasHandingOver } from './clean-stop.js';
import { changeConfiguration, replaceFile } from './configuration-change.js';
import { lastValue, readConfigurationFile } from './configuration-file.js';
import { isCleanEnd, readControlFile } from './control-file.js';
import { copyFrom } from './copy/base-copy.js';
import { restoreFromAside } from './copy/kept-files.js';
import { setLostWalAside } from './copy/lost-wal.js';
import { type RewindOutcome, rewindTo } from './copy/rewind.js';
import { endOrphans, finishSwap, readUnfinished, type Unfinished } from './copy/unfinished-data.js';
import { type KnownNode, knownNodes, rememberNodes } from './known-nodes.js';
import { endAllProcesses, endWalReceiver, serverProcesses } from './processes.js';
import { type CommandResult, describeFailure, runProgram, runShell } from './run-command.js';

export type ServerCondition =
  | { readonly kind: 'running' }
  | {
      readonly kind: 'stopped';
      readonly clean: boolean;
      readonly standbySignal: boolean;
      readonly fenced: boolean;
      /** Half rewound or half copied. */
      readonly unfinished: boolean;
    };

export interface ServerControlOptions {
  /** May become known only once the server answers. */
  readonly dataDirectory: () => string;
  /** Folder of postgres, pg_ctl, pg_rewind; null = where the server was last started from. */
  readonly binDirectory: () => string | null;
  /** Shell commands for servers that systemd or pg_ctlcluster manages; empty = pg_ctl. */
  readonly startCommand: () => string;
  readonly stopCommand: () => string;
  /** How much WAL is kept aside that is lost by rewinds and copies. */
  readonly lostWalLimitBytes?: () => number;
}

export const defaultLostWalLimitBytes = 1024 ** 3;

export interface ServerControl {
  inspect(): Promise<ServerCondition>;
  endAllProcesses(boundMs: number): Promise<boolean>;
  /** From now on nobody can start this server as a master. */
  forbidWritableStart(): void;
  markFenced(names: string | null): void;
  /** primary_conninfo in the keeper's own file; '' = none. */
  followed(): string;
  follow(conninfo: string): void;
  /** primary_slot_name in the keeper's own file; '' = none. */
  followedSlot(): string;
  /** The mark is gone, and the server comes back as a standby of that master, by that slot ('' = none). */
  markStandbyOf(follow: string, slot: string): void;
  start(boundMs: number, as?: 'standby' | 'master'): Promise<void>;
  /** Where the last record begins. */
  stopCleanly(deadlineMs: number): Promise<bigint>;
  stop(mode: 'fast' | 'immediate', boundMs: number): Promise<void>;
  rewind(source: string): Promise<RewindOutcome>;
  copy(source: string): Promise<string>;
  /** Before either: what only this server had. Null where that is nothing. */
  setLostWalAside(source: string, sameNumberTwice: boolean): Promise<LostWal | null>;
  /** The mark of data that are neither the old nor the new ones: nobody may start them. */
  unfinished(): Unfinished | null;
  remember(nodes: readonly KnownNode[], isKept: boolean | null): void;
  /** As last remembered. */
  nodes(): readonly KnownNode[];
  endWalReceiver(): Promise<void>;
}

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

  get #standbySignal(): string {
    return join(this.#data, 'standby.signal');
  }

  get #autoConf(): string {
    return join(this.#data, 'postgresql.auto.conf');
  }

  async inspect(): Promise<ServerCondition> {
    finishSwap(this.#data);
    if (serverProcesses(this.#data).length > 0) return { kind: 'running' };
    restoreFromAside(this.#data);
    if (readUnfinished(this.#data) !== null)
      return { kind: 'stopped', clean: false, standbySignal: true, fenced: true, unfinished: true };
    const handingOver = wasHandingOver(this.#data);
    // The sign of a handover is no sign that this was a standby.
    const standbySignal = !handingOver && existsSync(this.#standbySignal);
    const clean = isCleanEnd(readControlFile(this.#data).state);
    // Looked at again after the files: a server that was started meanwhile is not stopped.
    if (serverProcesses(this.#data).length > 0) return { kind: 'running' };
    const marked = lastValue(readConfigurationFile(this.#autoConf).entries, 'pg_keeper.fenced') === 'on';
    return { kind: 'stopped', clean, standbySignal, fenced: marked || handingOver, unfinished: false };
  }

  endAllProcesses(boundMs: number): Promise<boolean> {
    return endAllProcesses(this.#data, boundMs);
  }

  forbidWritableStart(): void {
    if (!existsSync(this.#standbySignal)) replaceFile(this.#standbySignal, '');
  }

  markFenced(names: string | null): void {
    this.forbidWritableStart();
    changeConfiguration(this.#autoConf, {
      primary_conninfo: fencedConninfo(this.followed()),
      'pg_keeper.fenced': 'on',
      ...(names === null ? {} : { synchronous_standby_names: names }),
    });
    forgetHandover(this.#data);
  }

  followed(): string {
    return lastValue(readConfigurationFile(this.#autoConf).entries, 'primary_conninfo') ?? '';
  }

  follow(conninfo: string): void {
    changeConfiguration(this.#autoConf, { primary_conninfo: conninfo });
  }

  followedSlot(): string {
    return lastValue(readConfigurationFile(this.#autoConf).entries, 'primary_slot_name') ?? '';
  }

  markStandbyOf(follow: string, slot: string): void {
    this.forbidWritableStart();
    changeConfiguration(this.#autoConf, {
      primary_conninfo: follow,
      // Empty, and not taken out: it may stand in postgresql.conf too.
      primary_slot_name: slot,
      'pg_keeper.fenced': null,
    });
  }

  async start(boundMs: number, as: 'standby' | 'master' = 'standby'): Promise<void> {
    if (this.unfinished() !== null) throw new Error('the data are half rewound or half copied');
    endOrphans(this.#data);
    // Whoever was here before, and wherever it broke off: this program starts standbys only, but for a handover that failed.
    if (as === 'standby') this.forbidWritableStart();
    else rmSync(this.#standbySignal, { force: true });
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

  async stopCleanly(deadlineMs: number): Promise<bigint> {
    const command = this.#options.stopCommand();
    const byCommand = command === '' ? null : () => this.stop('fast', deadlineMs);
    // Whoever starts the server before the handover is at its end (a supervisor, a boot) gets a standby.
    this.forbidWritableStart();
    return stopCleanly({ dataDirectory: this.#data, byCommand, deadlineMs });
  }

  async stop(mode: 'fast' | 'immediate', boundMs: number): Promise<void> {
    if (serverProcesses(this.#data).length === 0) return;
    const args = ['stop', '-D', this.#data, '-m', mode, '-w', '-t', `${Math.ceil(boundMs / 1000)}`, '-s'];
    let result = await this.#run(this.#options.stopCommand(), 'pg_ctl', args, boundMs + 5000);
    // `systemctl stop` returns 0 and stops nothing when the server runs outside its unit, as one that the worker started before.
    if (result.ok && serverProcesses(this.#data).length > 0)
      result = await this.#run('', 'pg_ctl', args, boundMs + 5000);
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

  rewind(source: string): Promise<RewindOutcome> {
    return rewindTo({ source, dataDirectory: this.#data, program: this.#program('pg_rewind') });
  }

  async copy(source: string): Promise<string> {
    const request = { source, dataDirectory: this.#data, binDirectory: this.#binDirectory() };
    return (await copyFrom(request)).how;
  }

  setLostWalAside(source: string, sameNumberTwice: boolean): Promise<LostWal | null> {
    return setLostWalAside({
      source,
      sameNumberTwice,
      dataDirectory: this.#data,
      binDirectory: this.#binDirectory(),
      limitBytes: this.#options.lostWalLimitBytes?.() ?? defaultLostWalLimitBytes,
    });
  }

  unfinished(): Unfinished | null {
    finishSwap(this.#data);
    return readUnfinished(this.#data);
  }

  remember(nodes: readonly KnownNode[], isKept: boolean | null): void {
    if (readUnfinished(this.#data) === null) rememberNodes(this.#data, nodes, isKept);
  }

  nodes(): readonly KnownNode[] {
    return knownNodes(this.#data);
  }

  async endWalReceiver(): Promise<void> {
    endWalReceiver(this.#data);
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
