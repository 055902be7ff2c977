/**
 * The guard: a small process beside a master that ends the server when the lease runs out and the worker does not act,
 * because it was killed, hangs or is stopped. Needs no connection to anything; knows one deadline and one directory.
 */
import { createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { holdNames } from '../core/types.js';
import { decodeOrder, type GuardMessage, guardMeeting } from './guard-protocol.js';
import { createServerControl } from './server-control.js';

/** Looked at so often, since a timer that was set before the machine slept fires late. */
const lookMs = 1000;
const endBoundMs = 10_000;
const markTries = 600;

export interface GuardOptions {
  readonly dataDirectory: string;
  readonly log: (reason: string, message: string) => void;
}

/** Resolves when there is nothing left to guard: stood down and left alone, the server ended, or another guard is there. */
export function runGuard(options: GuardOptions): Promise<void> {
  return new Promise((resolve) => {
    const guard = new ServerGuard(options, resolve);
    guard.listen();
  });
}

class ServerGuard {
  readonly #options: GuardOptions;
  readonly #finish: () => void;
  readonly #meeting;
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((socket) => this.#accept(socket));
  #order: GuardMessage = { kind: 'stand-down' };
  #timer: NodeJS.Timeout | null = null;
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

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      this.#look();
    });
    createInterface({ input: socket }).on('line', (line) => {
      const order = decodeOrder(line, this.#meeting.secret);
      if (order === null) return;
      this.#order = this.#earlier(order);
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

  #look(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#ending) return;
    if (this.#order.kind === 'stand-down') {
      // Nobody there and nothing to do; a worker that needs a guard again starts one.
      if (this.#sockets.size === 0) this.#timer = setTimeout(() => this.#leave(), lookMs);
      return;
    }
    const leftMs = Number(this.#order.atNs - process.hrtime.bigint()) / 1e6;
    if (leftMs <= 0) void this.#endServer(this.#order.syncWished);
    else this.#timer = setTimeout(() => this.#look(), Math.min(lookMs, Math.ceil(leftMs)));
  }

  async #endServer(syncWished: boolean): Promise<void> {
    this.#ending = true;
    const { dataDirectory, log } = this.#options;
    const control = createServerControl({
      dataDirectory: () => dataDirectory,
      binDirectory: () => null,
      startCommand: () => '',
      stopCommand: () => '',
    });
    log('guard-ends-server', 'the lease ran out and nothing was heard of the worker: ending the server');
    // The end comes first, whatever the disk says; the marks are tried until they stand.
    const marked = () => {
      try {
        control.forbidWritableStart();
        control.markFenced(syncWished ? holdNames : null);
        return true;
      } catch {
        return false;
      }
    };
    marked();
    while (!(await control.endAllProcesses(endBoundMs)))
      log('guard-failed', 'processes of the server are left; trying on');
    for (let tries = 0; !marked() && tries < markTries; tries++) await delay(lookMs);
    log('guard-ended-server', 'the server is gone; it comes back as a standby only');
    this.#leave();
  }

  #leave(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    this.#finish();
  }
}
