/**
 * The guard: a small process beside a master that ends the server when the lease runs out and the worker does not act,
 * because it was killed, hangs or is stopped. Needs no connection to anything; knows one deadline and one directory.
 */
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { holdNames } from '../../core/types.js';
import { bareControl } from '../bare-control.js';
import { createFile } from '../configuration-change.js';
import { HeldDirectory } from '../held-directory.js';
import { serverProcesses } from '../processes.js';
import { decodeOrder, type GuardMessage, guardMeeting } from './guard-protocol.js';

/** Looked at so often, since a timer that was set before the machine slept fires late. */
const lookMs = 1000;
const endBoundMs = 10_000;
const markTries = 600;

export interface GuardOptions {
  readonly dataDirectory: string;
  readonly log: (reason: string, message: string) => void;
}

/** What orders are read from: sockets of workers, and the input given at the start. */
interface Source extends NodeJS.ReadableStream {
  destroy(): unknown;
}

/** Resolves when there is nothing left to guard: stood down and left alone, the server ended, or another guard is there. */
export function runGuard(options: GuardOptions): Promise<void> {
  return new Promise((resolve) => {
    const guard = new ServerGuard(options, resolve);
    // A signal to the worker's group must not take the guard along; one that is meant for it, as at the shutdown of the
    // host, must not wait for a deadline when the server is gone.
    for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, () => undefined);
    process.on('SIGTERM', () => guard.leaveWithServer());
    // The first order comes with the start: the worker may be dead before it could connect.
    guard.read(process.stdin);
    guard.listen();
  });
}

class ServerGuard {
  readonly #options: GuardOptions;
  readonly #finish: () => void;
  readonly #meeting;
  readonly #sources = new Set<Source>();
  readonly #server = createServer((socket: Socket) => this.read(socket));
  #order: GuardMessage = { kind: 'stand-down' };
  /** While there is an order to end the server. A copy of the master takes the place of the old directory in between. */
  #directory: HeldDirectory | null = null;
  #timer: NodeJS.Timeout | null = null;
  #leavesWithServer = false;
  #ending = false;

  constructor(options: GuardOptions, finish: () => void) {
    this.#options = options;
    this.#meeting = guardMeeting(options.dataDirectory);
    this.#finish = finish;
  }

  listen(): void {
    this.#server.once('error', () => this.#leave());
    this.#server.listen(this.#meeting.socket, () => this.#look());
  }

  leaveWithServer(): void {
    this.#leavesWithServer = true;
    this.#look();
  }

  read(source: Source): void {
    this.#sources.add(source);
    source.on('error', () => undefined);
    source.once('close', () => {
      this.#sources.delete(source);
      this.#look();
    });
    createInterface({ input: source }).on('line', (line) => {
      const order = decodeOrder(line, this.#meeting.secret);
      if (order === null) return;
      this.#order = this.#earlier(order);
      this.#hold();
      this.#look();
    });
  }

  /** A worker that starts again and again must not put off the end for ever: only a proven lease moves it back. */
  #earlier(order: GuardMessage): GuardMessage {
    const before = this.#order;
    if (order.kind !== 'end-at' || before.kind !== 'end-at' || order.proven || before.atNs > order.atNs)
      return order;
    return { ...order, atNs: before.atNs };
  }

  #hold(): void {
    if (this.#order.kind === 'stand-down') {
      this.#directory?.release();
      this.#directory = null;
      return;
    }
    try {
      this.#directory ??= new HeldDirectory(this.#options.dataDirectory);
    } catch (error) {
      this.#options.log('guard-failed', `the data directory cannot be opened: ${String(error)}`);
    }
  }

  #look(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#ending) return;
    if (this.#order.kind === 'stand-down') {
      // Nobody there and nothing to do; a worker that needs a guard again starts one.
      if (this.#sources.size === 0) this.#timer = setTimeout(() => this.#leave(), lookMs);
      return;
    }
    if (this.#leavesWithServer && this.#isServerGone()) return this.#leave();
    const leftMs = Number(this.#order.atNs - process.hrtime.bigint()) / 1e6;
    if (leftMs <= 0) void this.#endServer(this.#order.syncWished, Math.round(-leftMs));
    else this.#timer = setTimeout(() => this.#look(), Math.min(lookMs, Math.ceil(leftMs)));
  }

  #path(): string {
    return this.#directory?.path ?? this.#options.dataDirectory;
  }

  #isServerGone(): boolean {
    try {
      return serverProcesses(this.#path()).length === 0;
    } catch {
      return false;
    }
  }

  async #endServer(syncWished: boolean, lateMs: number): Promise<void> {
    this.#ending = true;
    const { log } = this.#options;
    const control = bareControl(() => this.#path());
    log(
      'guard-ends-server',
      `the time of this master ran out ${lateMs} ms ago and nothing was heard of its worker: ending the server`,
    );
    // First what keeps a supervisor from bringing up a master in between. The end does not wait for a disk: the marks are
    // made durable after it, and tried until they stand.
    try {
      createFile(join(this.#path(), 'standby.signal'));
    } catch {
      // With the marks.
    }
    const marked = () => {
      try {
        control.markFenced(syncWished ? holdNames : null);
        return true;
      } catch {
        return this.#directory?.isDeleted() === true;
      }
    };
    while (!(await this.#endsProcesses(() => control.endAllProcesses(endBoundMs))))
      log('guard-failed', 'processes of the server are left; trying on');
    for (let tries = 0; !marked() && tries < markTries; tries++) await delay(lookMs);
    log('guard-ended-server', 'the server is gone; it comes back as a standby only');
    this.#leave();
  }

  /** Whatever goes wrong, such as a directory that is not there, is tried again. */
  async #endsProcesses(end: () => Promise<boolean>): Promise<boolean> {
    try {
      return await end();
    } catch {
      await delay(lookMs);
      return false;
    }
  }

  #leave(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const source of this.#sources) source.destroy();
    this.#server.close();
    this.#finish();
  }
}
