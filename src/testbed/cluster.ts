/**
 * A real cluster on this machine: servers, the registry, one worker a server. Used by the demo, the integration tests
 * and the benchmark alike. Everything lives in one temporary folder, and `remove` leaves nothing.
 */

import { chmodSync, chownSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { migrateUp } from '../postgres/migrations.js';
import type { PostgresInstallation } from './find-postgres.js';
import { freePort } from './free-port.js';
import { grantsFor } from './grants.js';
import { endEverythingIn, releaseMemory } from './leftovers.js';
import { freshFolder } from './owned-folder.js';
import { TestServer } from './server.js';
import { until } from './until.js';
import { TestWorker } from './worker-process.js';

export interface ClusterOptions {
  readonly nodes: number;
  readonly installation: PostgresInstallation;
  /** JavaScript file of the command line. */
  readonly program: string;
  /** The objects of another release: its migrations and its grants.sql. */
  readonly release?: { readonly migrations: string; readonly grants: string };
  readonly keepaliveTime?: string;
  readonly keepaliveCount?: number;
  /** synchronous_standby_names of every server; '' = asynchronous. */
  readonly syncNames?: string;
  /** Further settings of every server. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Of single servers. */
  readonly settingsOf?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Ports from here on; null = free ones. */
  readonly firstPort?: number | null;
  readonly host?: string;
  /** Address and network namespace of a node, for clusters of several hosts. */
  readonly placeOf?: (name: string) => {
    readonly host: string;
    readonly port: number;
    readonly namespace: string;
  };
  /** Further environment of a node's server and worker. */
  readonly environmentOf?: (name: string) => Readonly<Record<string, string>>;
  /** Further words of every conninfo that leads to a node. */
  readonly keywordsOf?: (name: string) => Readonly<Record<string, string>>;
  /** A tablespace of that name, which every server has in a folder of its own. */
  readonly tablespace?: string;
  /** The workers' role is superuser. Default: only on PostgreSQL 14. */
  readonly superuser?: boolean;
  readonly progress?: (step: string) => void;
  /** How the servers come to be, the registry on them and running, the first of `names` as master. Default: `makeServers`. */
  readonly makeServers?: (cluster: TestCluster, names: readonly string[]) => Promise<void>;
}

export interface TestNode {
  readonly name: string;
  readonly server: TestServer;
  readonly worker: TestWorker;
}

export const keeperRole = 'pgkeeper';

/** The user PostgreSQL runs as when this process is root: its own where there is one. */
function ownerOfServers(): { readonly uid: number; readonly gid: number } | null {
  if (process.getuid?.() !== 0) return null;
  const passwd = readFileSync('/etc/passwd', 'utf8');
  const fields = (name: string) =>
    passwd
      .split('\n')
      .find((row) => row.startsWith(`${name}:`))
      ?.split(':');
  const row = fields('postgres') ?? fields('nobody');
  if (row === undefined)
    throw new Error('PostgreSQL refuses to run as root, and there is neither a user "postgres" nor "nobody"');
  return { uid: Number(row[2]), gid: Number(row[3]) };
}

/** A folder that a killed process leaves behind is found by its name. */
export function makeTestFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'pgkeeper-'));
  chmodSync(folder, 0o755);
  const owner = ownerOfServers();
  if (owner !== null) chownSync(folder, owner.uid, owner.gid);
  return folder;
}

/** As a DBA does it: initdb, the registry, a base copy for each standby. */
export async function makeServers(cluster: TestCluster, names: readonly string[]): Promise<void> {
  const [first = '', ...others] = names;
  const { tablespace, progress = () => undefined } = cluster.options;
  progress('creating the first server');
  const master = await cluster.addServer(first);
  await master.server.initialise();
  await master.server.start();
  progress('installing the registry');
  await cluster.installRegistry(master.server);
  const there = tablespace === undefined ? '' : freshFolder(master.server.folder, tablespace);
  if (there !== '') await master.server.query(`create tablespace ${tablespace} location '${there}'`);
  for (const name of others) {
    progress(`copying it to ${name}`);
    const node = await cluster.addServer(name);
    const here = tablespace === undefined ? '' : freshFolder(node.server.folder, tablespace);
    await node.server.copyOf(master.server, keeperRole, there === '' ? [] : [`${there}=${here}`]);
    await node.server.start();
  }
}

export class TestCluster {
  readonly folder: string;
  readonly options: ClusterOptions;
  readonly #nodes = new Map<string, TestNode>();
  #removed: Promise<void> | null = null;

  constructor(options: ClusterOptions) {
    this.options = options;
    this.folder = makeTestFolder();
  }

  get nodes(): readonly TestNode[] {
    return [...this.#nodes.values()];
  }

  node(name: string): TestNode {
    const node = this.#nodes.get(name);
    if (node === undefined) throw new Error(`no node ${name}`);
    return node;
  }

  /** Servers, registry, workers, all nodes voters and the wish for synchronous replication in force. */
  async create(): Promise<void> {
    const progress = this.options.progress ?? (() => undefined);
    const names = Array.from({ length: this.options.nodes }, (_, i) => `n${i + 1}`);
    const [first] = names;
    if (first === undefined) throw new Error('a cluster needs a node');
    await (this.options.makeServers ?? makeServers)(this, names);
    progress('registering the nodes and starting their workers');
    const { server: master } = this.node(first);
    await this.register(first, master);
    for (const node of this.nodes) node.worker.start();
    for (const name of names.slice(1)) await this.register(name, master);
    // Only now: a server that waits for standbys it does not have yet acknowledges nothing.
    const wish = this.options.syncNames ?? '';
    if (wish !== '')
      for (const { server } of this.nodes) await server.changeSettings({ synchronous_standby_names: wish });
    await this.untilSettled(first);
  }

  async addServer(name: string): Promise<TestNode> {
    const { options } = this;
    const place = options.placeOf?.(name) ?? (await this.#localPlace());
    const settings = {
      'pg_keeper.node_name': name,
      'pg_keeper.keepalive_time': options.keepaliveTime ?? '5s',
      'pg_keeper.keepalive_count': String(options.keepaliveCount ?? 3),
      ...options.settings,
      ...options.settingsOf?.[name],
    };
    const server = new TestServer({
      name,
      folder: this.folder,
      ...place,
      installation: options.installation,
      settings,
      environment: options.environmentOf?.(name) ?? {},
      keywords: options.keywordsOf?.(name) ?? {},
    });
    const worker = new TestWorker({
      program: options.program,
      server,
      conninfo: server.conninfo(keeperRole),
    });
    const node = { name, server, worker };
    this.#nodes.set(name, node);
    return node;
  }

  async #localPlace(): Promise<{ readonly host: string; readonly port: number; readonly namespace: null }> {
    const host = this.options.host ?? '127.0.0.1';
    const first = this.options.firstPort ?? null;
    return { host, port: first === null ? await freePort(host) : first + this.#nodes.size, namespace: null };
  }

  /** Role, grants, objects: the way the README leads a DBA. */
  async installRegistry(server: TestServer): Promise<void> {
    const superuser = this.options.superuser ?? server.installation.major < 15;
    const connection = { host: server.host, port: server.port, user: 'postgres', database: 'postgres' };
    await server.query('create extension if not exists dblink');
    const { release } = this.options;
    const outcome = await migrateUp({
      connection,
      ...(release === undefined ? {} : { folder: release.migrations }),
    });
    if (outcome.kind === 'refused') throw new Error(outcome.reason);
    await server.query(
      superuser
        ? `create role ${keeperRole} login replication superuser`
        : grantsFor(keeperRole, { withoutPassword: true }, release?.grants),
    );
  }

  async register(name: string, onMaster: TestServer): Promise<void> {
    const { server } = this.node(name);
    await until(
      `${name} is registered`,
      async () => {
        await onMaster.query('select pgkeeper.add_node($1, $2)', [name, server.conninfo(keeperRole)]);
        return true;
      },
      30_000,
      200,
    );
  }

  /** Every registered node is a voter, follows, and the wished synchronous set is in force. */
  async untilSettled(masterName: string, boundMs = 60_000): Promise<void> {
    const { server } = this.node(masterName);
    const wishes = (this.options.syncNames ?? '') !== '';
    await until(
      `the cluster of ${masterName} is settled`,
      async () => {
        const [row] = await server.look<{ settled: boolean }>(
          `select jsonb_array_length(c.voters) = jsonb_array_length(c.nodes)
             and (select count(*) from pg_stat_replication where state = 'streaming') >= (select count(*) from pgkeeper.node_info) - 1
             and c.sync_needed = c.sync_wished and (not $1 or c.sync_wished > 0)
             and (c.sync_wished = 0 or current_setting('synchronous_standby_names') not like '%pgkeeper_hold%')
             and c.master = $2 and not pg_is_in_recovery()
             and (select count(*) from pgkeeper.status where state like 'standby:connected%') >= (select count(*) from pgkeeper.node_info) - 1 as settled
           from pgkeeper.cluster_state c`,
          [wishes, masterName],
        );
        return row?.settled === true;
      },
      boundMs,
      50,
    );
  }

  /** The one server that takes writes now, or null. Frozen servers are not asked twice. */
  async master(): Promise<TestNode | null> {
    for (const node of this.nodes) {
      try {
        const [row] = await node.server.look<{ ok: boolean }>(
          `select not pg_is_in_recovery() and c.master = $1 as ok from pgkeeper.cluster_state c`,
          [node.name],
        );
        if (row?.ok === true) return node;
      } catch {
        // Not this one.
      }
    }
    return null;
  }

  remove(): Promise<void> {
    this.#removed ??= this.#remove();
    return this.#removed;
  }

  async #remove(): Promise<void> {
    await Promise.all(this.nodes.map(({ worker }) => worker.kill()));
    await Promise.all(this.nodes.map(({ server }) => server.remove()));
    endEverythingIn(this.folder);
    this.#releaseMemory();
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }

  /** For a signal handler that has no time to wait. */
  removeNow(): void {
    for (const { worker } of this.nodes) worker.killNow();
    endEverythingIn(this.folder);
    this.#releaseMemory();
    rmSync(this.folder, { recursive: true, force: true });
  }

  #releaseMemory(): void {
    for (const { server } of this.nodes) releaseMemory(server.dataDirectory);
  }

  /** Last lines of every log, for a failed test. */
  logs(lines = 40): string {
    return this.nodes
      .map(({ name, worker, server }) => {
        const text = existsSync(worker.logPath)
          ? readFileSync(worker.logPath, 'utf8').trim().split('\n').slice(-lines).join('\n')
          : '';
        return `--- worker ${name}\n${text}\n--- server ${name}${server.lastLog(10)}`;
      })
      .join('\n');
  }
}
