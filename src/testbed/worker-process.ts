/** One `pgkeeper worker` as a child process, its JSON log kept in a file and readable as decisions. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestServer } from './server.js';
import { until } from './until.js';

/** One logged decision. */
export interface Decision {
  readonly time: number;
  readonly node: string;
  readonly reason: string;
  readonly msg: string;
  readonly state: string;
  readonly epoch: number;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface WorkerOptions {
  readonly program: string;
  readonly server: TestServer;
  readonly conninfo: string;
}

export class TestWorker {
  readonly logPath: string;
  /** What the next start runs. */
  program: string;
  readonly #options: WorkerOptions;
  #child: ChildProcess | null = null;

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.program = options.program;
    this.logPath = join(options.server.folder, 'worker.log');
  }

  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  isRunning(): boolean {
    return this.#child !== null && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  start(extra: readonly string[] = [], environment: Readonly<Record<string, string>> = {}): void {
    const { program } = this;
    const { server, conninfo } = this.#options;
    const log = openSync(this.logPath, 'a');
    const args = [
      program,
      'worker',
      '-D',
      server.dataDirectory,
      '-d',
      conninfo,
      '--bin-directory',
      server.installation.binDirectory,
      ...extra,
    ];
    const { namespace } = server;
    const [command, before] =
      namespace === null ? [process.execPath, []] : ['ip', ['netns', 'exec', namespace, process.execPath]];
    this.#child = spawn(command, [...before, ...args], {
      stdio: ['ignore', log, log],
      cwd: '/',
      env: { ...this.#environment(), ...environment },
    });
    closeSync(log);
  }

  /** Nothing of the caller's PostgreSQL settings reaches a testbed. */
  #environment(): NodeJS.ProcessEnv {
    const own = Object.entries(process.env).filter(([name]) => !/^(PG|PGKEEPER_)/.test(name));
    // A mark by which what the worker starts can be found.
    const { environment, folder } = this.#options.server;
    return { ...Object.fromEntries(own), ...environment, TESTBED_NODE: folder };
  }

  signal(signal: NodeJS.Signals): void {
    if (this.isRunning()) this.#child?.kill(signal);
  }

  freeze(): void {
    this.signal('SIGSTOP');
  }

  thaw(): void {
    this.signal('SIGCONT');
  }

  killNow(): void {
    this.signal('SIGKILL');
  }

  async kill(): Promise<void> {
    this.killNow();
    await until('the worker is gone', () => !this.isRunning(), 10_000, 5);
  }

  /** As systemd would: SIGTERM. Resolves with its exit code. */
  async stop(): Promise<number | null> {
    this.signal('SIGTERM');
    await until('the worker has stopped', () => !this.isRunning(), 15_000, 5);
    return this.#child?.exitCode ?? null;
  }

  decisions(since = 0): readonly Decision[] {
    if (!existsSync(this.logPath)) return [];
    return readFileSync(this.logPath, 'utf8')
      .split('\n')
      .flatMap((line) => decisionOf(line))
      .filter(({ time }) => time >= since);
  }

  async untilDecision(reason: string, since = 0, boundMs = 30_000): Promise<Decision> {
    return until(
      `${this.#options.server.name} decides ${reason}`,
      () => this.decisions(since).find((decision) => decision.reason === reason),
      boundMs,
    );
  }
}

function decisionOf(line: string): readonly Decision[] {
  if (!line.startsWith('{')) return [];
  try {
    const fields = JSON.parse(line) as Record<string, unknown>;
    const { time, node, reason, msg, state, epoch } = fields;
    if (typeof reason !== 'string') return [];
    return [
      {
        time: Number(time),
        node: String(node),
        reason,
        msg: String(msg),
        state: String(state),
        epoch: Number(epoch),
        fields,
      },
    ];
  } catch {
    return [];
  }
}
