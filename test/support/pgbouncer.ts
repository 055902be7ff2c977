/** A real PgBouncer on the loopback, transaction pooling, and clients that write through it all the time. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { makeTestFolder } from '../../src/testbed/cluster.js';
import { freePort } from '../../src/testbed/free-port.js';
import { until } from '../../src/testbed/until.js';
import { writesTable } from '../../src/testbed/writer.js';

const host = '127.0.0.1';
const followScript = fileURLToPath(new URL('../../../deploy/pgbouncer-follow.sh', import.meta.url));

export function hasPgBouncer(): boolean {
  try {
    execFileSync('pgbouncer', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

export class TestPgBouncer {
  readonly folder: string;
  readonly port: number;
  #child: ChildProcess | null = null;

  private constructor(folder: string, port: number) {
    this.folder = folder;
    this.port = port;
  }

  static async create(): Promise<TestPgBouncer> {
    return new TestPgBouncer(makeTestFolder(), await freePort(host));
  }

  get masterFile(): string {
    return join(this.folder, 'master.ini');
  }

  get afterCommand(): string {
    return `PGBOUNCER_PIDFILE=${join(this.folder, 'pid')} ${followScript} %h %p ${this.masterFile}`;
  }

  get console(): string {
    return `host=${host} port=${this.port} user=pgkeeper`;
  }

  async start(master: { readonly host: string; readonly port: number }): Promise<void> {
    const { uid, gid } = statSync(this.folder);
    const lines = {
      listen_addr: host,
      listen_port: this.port,
      unix_socket_dir: '',
      auth_type: 'trust',
      auth_file: join(this.folder, 'users.txt'),
      admin_users: 'pgkeeper',
      stats_users: 'looker',
      pool_mode: 'transaction',
      server_login_retry: 1,
      logfile: join(this.folder, 'log'),
      pidfile: join(this.folder, 'pid'),
    };
    const settings = Object.entries(lines).map(([name, value]) => `${name} = ${value}`);
    const ini = join(this.folder, 'pgbouncer.ini');
    writeFileSync(lines.auth_file, '"pgkeeper" ""\n"postgres" ""\n"looker" ""\n');
    writeFileSync(this.masterFile, `[databases]\n* = host=${master.host} port=${master.port}\n`);
    writeFileSync(ini, `%include ${this.masterFile}\n[pgbouncer]\n${settings.join('\n')}\n`);
    this.#child = spawn('pgbouncer', ['-q', ini], { stdio: 'ignore', uid, gid });
    await until('PgBouncer answers', async () => {
      const client = await this.connect().catch(() => null);
      await client?.end();
      return client !== null;
    });
  }

  async connect(user = 'postgres', database = 'postgres'): Promise<pg.Client> {
    const client = new pg.Client({ host, port: this.port, user, database });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }

  /** By what its console says to a PAUSE; one that was not paused is resumed again. */
  async isPaused(): Promise<boolean> {
    const client = await this.connect('pgkeeper', 'pgbouncer');
    try {
      await client.query('PAUSE');
      await client.query('RESUME');
      return false;
    } catch {
      return true;
    } finally {
      await client.end();
    }
  }

  async command(text: string): Promise<void> {
    const client = await this.connect('pgkeeper', 'pgbouncer');
    await client.query(text).finally(() => client.end());
  }

  /** The end of its log. */
  lastLog(): string {
    return readFileSync(join(this.folder, 'log'), 'utf8').split('\n').slice(-20).join('\n');
  }

  async remove(): Promise<void> {
    this.#child?.kill('SIGKILL');
    await until('PgBouncer is gone', () => this.#child === null || this.#child.signalCode !== null);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** One client, one session, one insert after the other. An error ends nothing: it is kept. */
export class PooledWriter {
  readonly acknowledged: number[] = [];
  readonly errors: string[] = [];
  /** Of one insert, ms. */
  longestMs = 0;
  #next: number;
  #stopped = false;
  #done: Promise<void> | null = null;

  constructor(number: number) {
    this.#next = number * 10_000_000 + 5_000_000;
  }

  start(bouncer: TestPgBouncer): void {
    this.#done ??= this.#run(bouncer);
  }

  async #run(bouncer: TestPgBouncer): Promise<void> {
    let client: pg.Client | null = null;
    while (!this.#stopped) {
      const since = performance.now();
      const id = this.#next++;
      try {
        client ??= await bouncer.connect();
        await client.query(`insert into ${writesTable} (id) values (${id})`);
        this.acknowledged.push(id);
        this.longestMs = Math.max(this.longestMs, performance.now() - since);
      } catch (error) {
        this.errors.push(error instanceof Error ? error.message : String(error));
        client = null;
      }
      await delay(5);
    }
    await client?.end().catch(() => undefined);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }
}
