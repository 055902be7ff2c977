/**
 * The worker's side of the guard: finds the one of this data directory or starts it, and tells it each new deadline. On
 * Linux they meet at an abstract socket, so that a restarted worker finds the guard of the one before. Elsewhere there is
 * no guard.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import type { GuardOrder } from '../core/guard-deadline.js';
import type { Guard } from '../ports.js';
import { encodeOrder, type GuardMeeting, guardMeeting } from './guard-protocol.js';

export interface GuardLinkOptions {
  readonly dataDirectory: () => string;
  /** Program and arguments that run the guard. */
  readonly command: readonly [string, ...string[]];
  readonly log: (message: string) => void;
}

const retryMs = 250;
const startBoundMs = 5000;

export class GuardLink implements Guard {
  readonly #options: GuardLinkOptions;
  #socket: Socket | null = null;
  #last: GuardOrder = { kind: 'stand-down' };
  #child: ChildProcess | null = null;
  #startedAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | null = null;
  #ended = false;
  #connecting = false;
  #secret = '';

  constructor(options: GuardLinkOptions) {
    this.#options = options;
  }

  tell(order: GuardOrder): void {
    if (process.platform !== 'linux' || order.kind === 'unchanged' || isSame(order, this.#last)) return;
    this.#last = order;
    if (this.#socket !== null) this.#socket.write(encodeOrder(order, performance.now(), this.#secret));
    else if (this.#timer === null && !this.#connecting) this.#connect();
  }

  /** A worker that is stopped on purpose takes its guard along. */
  async end(): Promise<void> {
    this.#ended = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    const socket = this.#socket;
    if (socket === null) return;
    socket.ref();
    await new Promise<void>((resolve) => {
      socket.once('close', () => resolve());
      socket.end(encodeOrder({ kind: 'stand-down' }, performance.now(), this.#secret));
      setTimeout(resolve, 500);
    });
  }

  #connect(): void {
    this.#timer = null;
    if (this.#ended) return;
    const meeting = this.#meeting();
    if (meeting === null) return;
    this.#secret = meeting.secret;
    const socket = connect({ path: meeting.socket });
    this.#connecting = true;
    socket.unref();
    socket.once('connect', () => {
      this.#connecting = false;
      this.#socket = socket;
      socket.write(encodeOrder(this.#last, performance.now(), this.#secret));
    });
    // 'close' follows every error.
    socket.on('error', () => undefined);
    socket.once('close', () => {
      this.#connecting = false;
      this.#socket = null;
      if (this.#ended) return;
      // Nothing to guard: no process for it. The next order asks again.
      if (this.#last.kind === 'stand-down') return;
      this.#start();
      this.#timer = setTimeout(() => this.#connect(), retryMs);
    });
  }

  /** Null while the data directory cannot be read; tried again. */
  #meeting(): GuardMeeting | null {
    try {
      return guardMeeting(this.#options.dataDirectory());
    } catch (error) {
      this.#options.log(
        `the guard cannot be reached: ${error instanceof Error ? error.message : String(error)}`,
      );
      this.#timer = setTimeout(() => this.#connect(), startBoundMs);
      return null;
    }
  }

  #start(): void {
    const now = performance.now();
    if (now - this.#startedAt < startBoundMs) return;
    this.#startedAt = now;
    const [program, ...args] = this.#options.command;
    const child = spawn(program, args, { detached: true, stdio: ['ignore', 'inherit', 'inherit'], cwd: '/' });
    child.on('error', (error) => this.#options.log(`the guard does not start: ${error.message}`));
    child.unref();
    this.#child = child;
  }

  /** Of the guard this worker started, for tests. */
  get startedPid(): number | null {
    return this.#child?.pid ?? null;
  }
}

function isSame(a: GuardOrder, b: GuardOrder): boolean {
  if (a.kind !== 'end-at' || b.kind !== 'end-at') return a.kind === b.kind;
  return a.at === b.at && a.syncWished === b.syncWished && a.proven === b.proven;
}
