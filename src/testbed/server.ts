/**
 * One real PostgreSQL server of a testbed: made, started, killed, frozen, thawed, removed. Runs as an ordinary user
 * when this process is root, since PostgreSQL refuses root.
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { withKeywords } from '../core/conninfo.js';
import { queryWithDeadline } from '../postgres/connect.js';
import { KeptSession } from '../postgres/kept-session.js';
import { changeConfiguration, replaceFile } from '../process/configuration-change.js';
import { copyFrom } from '../process/copy/base-copy.js';
import { endAllProcesses, serverProcesses } from '../process/processes.js';
import { describeFailure, runProgram } from '../process/run-command.js';
import type { PostgresInstallation } from './find-postgres.js';
import { releaseMemory } from './leftovers.js';
import { freshFolder } from './owned-folder.js';
import { baseSettings } from './server-settings.js';
import { until } from './until.js';

export interface ServerOptions {
  readonly name: string;
  /** Data directory, log and socket are made in a folder of that name here. */
  readonly folder: string;
  readonly port: number;
  readonly host: string;
  readonly installation: PostgresInstallation;
  /** Network namespace the server lives in; null = this process's. Needs root. */
  readonly namespace?: string | null;
  /** Further lines of postgresql.conf. */
  readonly settings: Readonly<Record<string, string>>;
  /** Of its programs and its worker. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Further words of every conninfo that leads here. */
  readonly keywords?: Readonly<Record<string, string>>;
}

const commandBoundMs = 60_000;
/** A frozen server accepts and never answers. */
const answerBoundMs = 5000;

export class TestServer {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly folder: string;
  readonly dataDirectory: string;
  readonly installation: PostgresInstallation;
  readonly namespace: string | null;
  readonly environment: Readonly<Record<string, string>>;
  readonly #keywords: Readonly<Record<string, string>>;
  #settings: Readonly<Record<string, string>>;
  readonly #session = new KeptSession('testbed');
  #removed = false;

  constructor(options: ServerOptions) {
    this.name = options.name;
    this.host = options.host;
    this.port = options.port;
    this.installation = options.installation;
    this.namespace = options.namespace ?? null;
    this.folder = join(options.folder, options.name);
    this.dataDirectory = join(this.folder, 'data');
    this.#settings = options.settings;
    this.environment = options.environment ?? {};
    this.#keywords = options.keywords ?? {};
    if (!existsSync(this.folder)) freshFolder(options.folder, options.name);
  }

  /** Superuser over TCP; the testbed's servers trust the loopback. */
  conninfo(user = 'postgres', database = 'postgres'): string {
    const words = `host=${this.host} port=${this.port} user=${user} dbname=${database}`;
    return withKeywords(words, this.#keywords);
  }

  async initialise(): Promise<void> {
    const more = '-U postgres -A trust --no-sync -E UTF8 --locale=C'.split(' ');
    await this.#command('initdb', ['-D', this.dataDirectory, ...more]);
    await appendFile(
      join(this.dataDirectory, 'pg_hba.conf'),
      'host all all all trust\nhost replication all all trust\n',
    );
    await this.writeSettings();
  }

  async writeSettings(): Promise<void> {
    const all = {
      ...baseSettings,
      port: String(this.port),
      listen_addresses: this.host,
      unix_socket_directories: this.folder,
      cluster_name: this.name,
      ...this.#settings,
    };
    const text = Object.entries(all).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'`);
    const conf = join(this.dataDirectory, 'testbed.conf');
    replaceFile(conf, `${text.join('\n')}\n`);
    const main = join(this.dataDirectory, 'postgresql.conf');
    if (!readFileSync(main, 'utf8').includes('testbed.conf'))
      await appendFile(main, "include 'testbed.conf'\n");
  }

  /** Changes lines of the configuration file and reloads a running server. */
  async changeSettings(changes: Readonly<Record<string, string>>): Promise<void> {
    this.#settings = { ...this.#settings, ...changes };
    await this.writeSettings();
    if (this.isRunning()) await this.query('select pg_reload_conf()');
  }

  /** A standby of `source`, streaming under this server's name; not started yet. Tablespaces: OLD=NEW. */
  async copyOf(source: TestServer, user: string, tablespaces: readonly string[] = []): Promise<void> {
    await copyFrom({
      source: source.conninfo(user),
      dataDirectory: this.dataDirectory,
      binDirectory: this.installation.binDirectory,
      tablespaces,
    });
    await this.becomeStandbyOf(source, user);
  }

  /** The data directory holds a copy of `source`; not started yet. */
  async becomeStandbyOf(source: TestServer, user: string): Promise<void> {
    await this.writeSettings();
    changeConfiguration(join(this.dataDirectory, 'postgresql.auto.conf'), {
      primary_conninfo: source.#conninfoFor(this.name, user),
      'pg_keeper.fenced': null,
      synchronous_standby_names: null,
    });
    replaceFile(join(this.dataDirectory, 'standby.signal'), '');
  }

  /** What a standby needs to stream from here under a name, which may hold anything. */
  #conninfoFor(applicationName: string, user: string): string {
    return withKeywords(`host=${this.host} port=${this.port} user=${user}`, {
      ...this.#keywords,
      application_name: applicationName,
    });
  }

  /** A running standby streams from another server, or under another name, or (null) from nobody. Returns when it does. */
  async follow(source: TestServer | null, applicationName = this.name, user = 'postgres'): Promise<void> {
    const conninfo = source === null ? '' : source.#conninfoFor(applicationName, user);
    const [before] = await this.query<{ pid: number }>('select pid from pg_stat_wal_receiver');
    await this.query(`alter system set primary_conninfo = ${pg.escapeLiteral(conninfo)}`);
    await this.query('select pg_reload_conf()');
    await until(`${this.name} follows ${source?.name ?? 'nobody'}`, async () => {
      const [now] = await this.query<{ pid: number; status: string }>(
        'select pid, status from pg_stat_wal_receiver',
      );
      return source === null ? now === undefined : now?.status === 'streaming' && now.pid !== before?.pid;
    });
  }

  start(): Promise<void> {
    return this.#control('start', '-l', join(this.folder, 'postgres.log'));
  }

  async stop(mode: 'fast' | 'immediate' | 'smart' = 'fast'): Promise<void> {
    if (this.isRunning()) await this.#control('stop', '-m', mode);
  }

  restart(): Promise<void> {
    return this.#control('restart', '-l', join(this.folder, 'postgres.log'));
  }

  #control(action: string, ...more: readonly string[]): Promise<void> {
    return this.#command('pg_ctl', [action, '-D', this.dataDirectory, '-w', '-s', ...more]);
  }

  isRunning(): boolean {
    return existsSync(this.dataDirectory) && serverProcesses(this.dataDirectory).length > 0;
  }

  /** SIGKILL to all its processes in one go, as if the power went. Returns when the signals are sent. */
  kill(): void {
    this.#signal('SIGKILL');
  }

  freeze(): void {
    this.#signal('SIGSTOP');
  }

  thaw(): void {
    this.#signal('SIGCONT');
  }

  #signal(signal: NodeJS.Signals): void {
    for (const { pid } of serverProcesses(this.dataDirectory)) {
      try {
        process.kill(pid, signal);
      } catch {
        // Ended meanwhile.
      }
    }
  }

  /** A session of the caller, who ends it. */
  async connect(user = 'postgres', database = 'postgres'): Promise<pg.Client> {
    const client = new pg.Client({
      host: this.host,
      port: this.port,
      user,
      database,
      connectionTimeoutMillis: answerBoundMs,
      query_timeout: 30_000,
    });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }

  async query<Row extends pg.QueryResultRow>(
    text: string,
    values: readonly unknown[] = [],
    user = 'postgres',
    database = 'postgres',
  ): Promise<Row[]> {
    const client = await this.connect(user, database);
    try {
      return (await client.query<Row>(text, [...values])).rows;
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  /** For what is asked again and again: on a session that is kept, since each new one is a new process of the server. */
  async look<Row extends pg.QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    const result = await this.#session.run(this.conninfo(), answerBoundMs, (client) =>
      queryWithDeadline(client, text, values, answerBoundMs),
    );
    return result.rows as Row[];
  }

  /** Idempotent. Also ends a server that a worker started again meanwhile. */
  async remove(): Promise<void> {
    if (this.#removed) return;
    this.#removed = true;
    this.#session.end();
    if (!existsSync(this.dataDirectory)) return;
    this.thaw();
    await endAllProcesses(this.dataDirectory, 10_000);
    releaseMemory(this.dataDirectory);
  }

  async #command(name: string, args: readonly string[]): Promise<void> {
    const program = join(this.installation.binDirectory, name);
    const options = { deadlineMs: commandBoundMs, environment: this.environment };
    const result =
      this.namespace === null
        ? await runProgram(program, args, { ...options, asOwnerOf: this.folder })
        : await runProgram(
            'ip',
            ['netns', 'exec', this.namespace, ...this.#asOwner(), program, ...args],
            options,
          );
    if (!result.ok)
      throw new Error(`${this.name}: ${describeFailure(name, result, commandBoundMs)}${this.lastLog()}`);
  }

  /** Entering a namespace needs root, so the user changes only after it. */
  #asOwner(): readonly string[] {
    const { uid, gid } = statSync(this.folder);
    return ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups'];
  }

  /** For error messages. */
  lastLog(lines = 8): string {
    const path = join(this.folder, 'postgres.log');
    return existsSync(path)
      ? `\n${readFileSync(path, 'utf8').trim().split('\n').slice(-lines).join('\n')}`
      : '';
  }
}
