/**
 * What systemd is told of the worker (sd_notify): ready, its state, that it is alive, reloading, stopping. Node cannot send to
 * unix datagram sockets, so each message goes through `systemd-notify`, one process at a time, some 3 ms of CPU each. Where
 * nothing asks for notifications nothing is done.
 */
import { spawn } from 'node:child_process';

/** systemd-notify waits up to 5 s until its message was read. */
const messageBoundMs = 10_000;
/** An election goes through several states within 200 ms; none of them is worth a process then. */
const statusPauseMs = 1000;

export class ServiceManager {
  /** How long systemd waits for a sign of life; null = not asked for. */
  readonly watchdogMs: number | null;
  readonly #socket: string | null;
  readonly #log: (message: string) => void;
  /** Assignments, a message each. */
  readonly #queue: string[][] = [];
  #sending = false;
  #missing = false;
  #failed = false;
  #ready = false;
  #status = '';
  #said = '';
  #statusTimer: NodeJS.Timeout | null = null;
  #idle: (() => void) | null = null;

  /**
   * Takes the variables out of `environment`: a server or command that this process starts would speak for the unit. A
   * postmaster built with systemd says STOPPING=1 when it stops.
   */
  constructor(environment: NodeJS.ProcessEnv, log: (message: string) => void) {
    const { NOTIFY_SOCKET: socket, WATCHDOG_USEC: usec, WATCHDOG_PID: pid } = environment;
    for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete environment[name];
    this.#socket = socket === undefined || socket === '' ? null : socket;
    const isForUs = pid === undefined || Number(pid) === process.pid;
    const watchdogMs = Number(usec) / 1000;
    this.watchdogMs = this.#socket !== null && isForUs && watchdogMs > 0 ? watchdogMs : null;
    this.#log = log;
  }

  /** Start-up is complete. Later calls do nothing. */
  ready(): void {
    if (this.#ready) return;
    this.#ready = true;
    this.#say(['READY=1', ...this.#statusLine()]);
  }

  /** One line for `systemctl status`; of a quick succession only the last. */
  status(text: string): void {
    this.#status = text;
    if (!this.#ready || this.#statusTimer !== null || this.#socket === null) return;
    this.#statusTimer = setTimeout(() => {
      this.#statusTimer = null;
      if (this.#status !== this.#said) this.#say(this.#statusLine());
    }, statusPauseMs);
    this.#statusTimer.unref();
  }

  /** Twice in the time that systemd waits, as long as `isAlive`; the returned function ends it. */
  watch(isAlive: () => boolean): () => void {
    if (this.watchdogMs === null) return () => undefined;
    const timer = setInterval(() => {
      if (isAlive()) this.#say(['WATCHDOG=1']);
    }, this.watchdogMs / 2);
    return () => clearInterval(timer);
  }

  /** CLOCK_MONOTONIC, as Type=notify-reload wants it. */
  reloading(): void {
    this.#say(['RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`]);
  }

  reloaded(): void {
    this.#say(['READY=1']);
  }

  /** Resolves when everything was said. */
  async stopping(): Promise<void> {
    if (this.#statusTimer !== null) clearTimeout(this.#statusTimer);
    this.#say(['STOPPING=1']);
    if (!this.#sending) return;
    await new Promise<void>((resolve) => {
      this.#idle = resolve;
    });
  }

  #statusLine(): readonly string[] {
    this.#said = this.#status;
    return this.#status === '' ? [] : [`STATUS=${this.#status}`];
  }

  #say(assignments: readonly string[]): void {
    if (this.#socket === null || this.#missing || assignments.length === 0) return;
    // While one is on its way the next ones wait; a sign of life that waits already is enough.
    const isWaiting = this.#queue.some((one) => one.join() === assignments.join());
    if (!isWaiting) this.#queue.push([...assignments]);
    if (!this.#sending) this.#sendNext();
  }

  #sendNext(): void {
    const message = this.#queue.shift();
    this.#sending = message !== undefined && this.#socket !== null;
    if (message === undefined || this.#socket === null) return this.#idle?.();
    void notify(this.#socket, message).then((failure) => {
      if (failure !== null) this.#fail(failure);
      this.#sendNext();
    });
  }

  /** Told once. Without the program the worker runs as it would without systemd; anything else may pass. */
  #fail({ why, isMissing }: Failure): void {
    if (!this.#failed) this.#log(`systemd cannot be told of this worker: ${why}`);
    this.#failed = true;
    this.#missing = isMissing;
    if (isMissing) this.#queue.splice(0);
  }
}

interface Failure {
  readonly why: string;
  readonly isMissing: boolean;
}

/** Never rejects; null when systemd has it. */
function notify(socket: string, assignments: readonly string[]): Promise<Failure | null> {
  return new Promise((resolve) => {
    const failed = (error: unknown) => {
      const { code, message } = error as NodeJS.ErrnoException;
      resolve({ why: message, isMissing: code === 'ENOENT' });
    };
    try {
      const child = spawn('systemd-notify', assignments, {
        stdio: 'ignore',
        env: { PATH: process.env['PATH'], NOTIFY_SOCKET: socket },
        timeout: messageBoundMs,
        killSignal: 'SIGKILL',
      });
      child.once('error', failed);
      child.once('exit', (code, signal) =>
        resolve(
          code === 0
            ? null
            : { why: `systemd-notify ended with ${signal ?? `exit code ${code}`}`, isMissing: false },
        ),
      );
    } catch (error) {
      failed(error);
    }
  });
}
