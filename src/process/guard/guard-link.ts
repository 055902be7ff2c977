/**
 * The worker's side of the guard: finds the one of this data directory or starts it, and tells it each new deadline. On
 * Linux they meet at an abstract socket, so that a restarted worker finds the guard of the one before. A guard that is
 * started has its first order on its input, so that it is armed also if this worker dies at once. Elsewhere there is no guard.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { connect, Socket } from 'node:net';
import { messageOf } from '../../core/error-text.js';
import type { GuardOrder } from '../../core/guard-deadline.js';
import type { Guard } from '../../ports.js';
import { encodeOrder, type GuardMeeting, guardMeeting } from './guard-protocol.js';

export interface GuardLinkOptions {
  readonly dataDirectory: () => string;
  /** Program and arguments that run the guard. */
  readonly command: readonly [string, ...string[]];
  readonly log: (message: string) => void;
}

const retryMs = 250;
const startBoundMs = 5000;
const endBoundMs = 500;

export class GuardLink implements Guard {
  readonly #options: GuardLinkOptions;
  #socket: Socket | null = null;
  /** Null until there is something to say. The first word is always said: the guard of another worker may be armed. */
  #last: GuardOrder | null = null;
  /** Told once: the server has no guard. */
  #missed = false;
  #child: ChildProcess | null = null;
  #input: Socket | null = null;
  #startedAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | null = null;
  #ended = false;
  #connecting = false;
  #secret = '';

  constructor(options: GuardLinkOptions) {
    this.#options = options;
  }

  tell(order: GuardOrder): void {
    if (process.platform !== 'linux' || order.kind === 'unchanged') return;
    if (this.#last !== null && isSame(order, this.#last)) return;
    this.#last = order;
    if (this.#socket !== null) {
      this.#socket.write(this.#encoded(order));
      return;
    }
    // Started and not met yet: what it was started with may be out of date, and nobody looks for it once there is nothing to guard.
    this.#input?.write(this.#encoded(order));
    if (this.#timer === null && !this.#connecting) this.#connect();
  }

  /** A worker that is stopped takes its guard along, unless its server `stays` guarded without it. */
  async end(stays: boolean): Promise<void> {
    this.#ended = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    const socket = this.#socket ?? this.#input;
    if (socket === null) return;
    socket.ref();
    await new Promise<void>((resolve) => {
      socket.once('close', () => resolve());
      if (stays) socket.end();
      else socket.end(this.#encoded({ kind: 'stand-down' }));
      setTimeout(resolve, endBoundMs);
    });
  }

  #encoded(order: GuardOrder): string {
    return encodeOrder(order, performance.now(), this.#secret);
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
      if (this.#missed) this.#options.log('there is a guard again');
      this.#missed = false;
      if (this.#last !== null) socket.write(this.#encoded(this.#last));
    });
    // 'close' follows every error.
    socket.on('error', () => undefined);
    socket.once('close', () => {
      this.#connecting = false;
      this.#socket = null;
      if (this.#ended) return;
      // Nothing to guard: no process for it. The next order asks again.
      if (this.#last === null || this.#last.kind === 'stand-down') return;
      this.#start(this.#last);
      this.#timer = setTimeout(() => this.#connect(), retryMs);
    });
  }

  /** Null while the data directory cannot be read; tried again. */
  #meeting(): GuardMeeting | null {
    try {
      return guardMeeting(this.#options.dataDirectory());
    } catch (error) {
      this.#options.log(`the guard cannot be reached: ${messageOf(error)}`);
      this.#timer = setTimeout(() => this.#connect(), startBoundMs);
      return null;
    }
  }

  #start(order: GuardOrder): void {
    const now = performance.now();
    if (now - this.#startedAt < startBoundMs) return;
    this.#startedAt = now;
    const [program, ...args] = this.#options.command;
    try {
      const child = spawn(program, args, { detached: true, stdio: ['pipe', 'inherit', 'inherit'], cwd: '/' });
      child.on('error', (error) => this.#miss(error.message));
      child.on('exit', (code, signal) => {
        if (code !== 0) this.#miss(`it ended with ${signal ?? `exit code ${code}`}`);
      });
      child.unref();
      this.#child = child;
      this.#tellFirst(child, order);
    } catch (error) {
      // No memory for a process, for one: the worker itself goes on.
      this.#miss(messageOf(error));
    }
  }

  /** Open until the worker ends, for a guard that was started and has not been met yet. */
  #tellFirst({ stdin }: ChildProcess, order: GuardOrder): void {
    if (!(stdin instanceof Socket)) return;
    stdin.on('error', () => undefined);
    stdin.once('close', () => {
      if (this.#input === stdin) this.#input = null;
    });
    stdin.unref();
    stdin.write(this.#encoded(order));
    this.#input = stdin;
  }

  #miss(why: string): void {
    if (this.#ended || this.#missed || this.#socket !== null) return;
    this.#missed = true;
    this.#options.log(
      `this master has no guard: ${why}; tried again every ${startBoundMs / 1000} s. If the worker is killed or hangs, nobody ends its server`,
    );
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
