/**
 * A cluster whose nodes are hosts of their own, a client on each of them, and what one fault did to it: which rows were
 * acknowledged by whom, and when. Where a case ends the scene is made whole again for the next one.
 */
import { cpSync, existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type ClusterOptions, TestCluster, type TestNode } from '../../src/testbed/cluster.js';
import { endEverythingIn } from '../../src/testbed/leftovers.js';
import { until } from '../../src/testbed/until.js';
import { type Acknowledged, auditRows, createWritesTable } from '../../src/testbed/writer.js';
import { ClientBeside } from './client-beside.js';
import { program } from './command-line.js';
import { failoverTimeMs, installation, keepaliveMs, leaseTtlMs, untilAllVote } from './failover-cluster.js';
import { type ClusterFacts, type ToldEvent, toldBy } from './fault-record.js';
import { guardsOf } from './guards.js';
import { Hosts } from './hosts.js';
import { preparedServers } from './prepared-servers.js';

export const facts: ClusterFacts = { postgres: installation.version, failoverTimeMs, leaseTtlMs };

export interface SceneOptions extends Partial<ClusterOptions> {
  readonly nodes: number;
  readonly syncNames: string;
  /** Before the first server is made, in the folder that will hold one folder a node. */
  readonly prepare?: (folder: string) => void;
  /** After the last process is gone. */
  readonly dismantle?: (folder: string) => void;
}

/** As the README says; and the log has also what is decided again and again. */
const sceneSettings = { wal_retrieve_retry_interval: '500ms', 'pg_keeper.log_level': 'debug' };
const wholeBoundMs = 90_000;

export class FaultScene {
  readonly options: SceneOptions;
  readonly hosts: Hosts;
  readonly cluster: TestCluster;
  readonly clients = new Map<string, ClientBeside>();
  /** The fault of the present case. */
  since = 0;
  #master: TestNode | null = null;
  #lastEvent = 0;
  #decided = new Map<string, number>();
  /** Lost with synchronous replication off, and counted already. */
  readonly #writtenOff = new Set<number>();
  #removed = false;

  constructor(options: SceneOptions) {
    this.options = options;
    this.hosts = new Hosts(Array.from({ length: options.nodes }, (_, i) => `n${i + 1}`));
    this.cluster = new TestCluster({
      installation,
      program,
      keepaliveTime: `${keepaliveMs}ms`,
      keepaliveCount: failoverTimeMs / keepaliveMs,
      placeOf: (name) => this.hosts.placeOf(name),
      ...preparedServers(options),
      ...options,
      settings: { ...sceneSettings, ...options.settings },
    });
  }

  async create(): Promise<void> {
    process.once('exit', () => this.removeNow());
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
    this.hosts.create();
    this.options.prepare?.(this.cluster.folder);
    await this.cluster.create();
    await createWritesTable(this.cluster.node('n1').server);
    this.cluster.nodes.forEach(({ name, server }, i) => {
      const client = new ClientBeside(server, i);
      client.start();
      this.clients.set(name, client);
    });
    await until('the client beside n1 writes', () => this.all.some(({ server }) => server === 'n1'));
  }

  async remove(): Promise<void> {
    if (this.#removed) return;
    for (const client of this.clients.values()) client.stop();
    this.#keepLogs();
    this.hosts.heal();
    await Promise.all(this.cluster.nodes.map(({ worker }) => worker.kill()));
    // A guard would still mark the files of a server whose worker is gone.
    this.#signalGuards('SIGKILL');
    await Promise.all(this.cluster.nodes.map(({ server }) => server.remove()));
    this.options.dismantle?.(this.cluster.folder);
    await this.cluster.remove();
    this.hosts.remove();
    this.#removed = true;
  }

  #signalGuards(signal: NodeJS.Signals): void {
    for (const pid of this.cluster.nodes.flatMap(guardsOf)) process.kill(pid, signal);
  }

  /** To look into what surprises, after the folder of the cluster is gone. */
  #keepLogs(): void {
    const kept = process.env['PGKEEPER_FAULT_LOGS'];
    if (kept === undefined) return;
    for (const { name, server } of this.cluster.nodes) {
      for (const log of ['worker.log', 'postgres.log', join('data', 'pgkeeper-start.log')]) {
        const path = join(server.folder, log);
        if (existsSync(path)) cpSync(path, join(kept, `${name}-${basename(log)}`));
      }
    }
  }

  removeNow(): void {
    if (this.#removed) return;
    for (const client of this.clients.values()) client.stop();
    for (const { worker } of this.cluster.nodes) worker.killNow();
    this.#signalGuards('SIGKILL');
    // SIGKILL reaches what is frozen, too.
    endEverythingIn(this.cluster.folder);
    this.options.dismantle?.(this.cluster.folder);
    this.cluster.removeNow();
    this.hosts.remove();
  }

  /** Every acknowledged row so far. */
  get all(): readonly Acknowledged[] {
    return [...this.clients.values()].flatMap(({ acknowledged }) => acknowledged);
  }

  /** When the case began. */
  get master(): TestNode {
    if (this.#master === null) throw new Error('no case has begun');
    return this.#master;
  }

  get standbys(): readonly TestNode[] {
    return this.cluster.nodes.filter((node) => node !== this.#master);
  }

  standby(which: number): TestNode {
    const node = this.standbys[which];
    if (node === undefined) throw new Error(`no standby ${which}`);
    return node;
  }

  async begin(): Promise<void> {
    this.#master = await this.untilWhole();
    this.#lastEvent = (await toldBy(this.#master.server.conninfo())).at(-1)?.id ?? 0;
    this.#decided = new Map(
      this.cluster.nodes.map(({ name, worker }) => [name, worker.decisions().length] as const),
    );
    this.strike();
  }

  /** The fault comes now. */
  strike(): void {
    this.since = performance.now();
  }

  /** All that belongs to a host: its server, its worker, its guard. */
  freeze(node: TestNode): void {
    for (const pid of guardsOf(node)) process.kill(pid, 'SIGSTOP');
    node.worker.freeze();
    node.server.freeze();
  }

  thaw(node: TestNode): void {
    node.server.thaw();
    node.worker.thaw();
    for (const pid of guardsOf(node)) process.kill(pid, 'SIGCONT');
  }

  /** As a power cut would. */
  async killAll(node: TestNode): Promise<void> {
    for (const pid of guardsOf(node)) process.kill(pid, 'SIGKILL');
    node.worker.killNow();
    node.server.kill();
    await node.worker.kill();
  }

  /** `ms` at the usual T of 3 s, longer where that is. */
  lasting(ms: number): Promise<void> {
    return delay((ms * keepaliveMs) / 1000);
  }

  /** A row sent after now and acknowledged by anybody, or by that node. */
  async untilWriting(by: TestNode | null = null): Promise<Acknowledged> {
    return this.#untilAcknowledged(performance.now(), (row) => by === null || row.server === by.name);
  }

  /** The first server other than the master of the beginning that acknowledged a row sent after the fault. */
  async untilTakenOver(): Promise<TestNode> {
    const row = await this.#untilAcknowledged(this.since, ({ server }) => server !== this.#master?.name);
    return this.cluster.node(row.server);
  }

  #untilAcknowledged(since: number, fits: (row: Acknowledged) => boolean): Promise<Acknowledged> {
    return until(
      'a row is acknowledged',
      () => this.all.find((row) => row.sentAt > since && fits(row)),
      60_000,
      10,
    );
  }

  /** Everything healed, one master, every node following, every vote held. Resolves with the master. */
  async untilWhole(): Promise<TestNode> {
    this.hosts.heal();
    for (const node of this.cluster.nodes) {
      this.thaw(node);
      if (!node.worker.isRunning()) node.worker.start();
    }
    return until(
      'the cluster is whole',
      async () => {
        const master = await this.cluster.master();
        if (master === null) return null;
        await this.cluster.untilSettled(master.name, 3000);
        await untilAllVote(this.cluster, master.name);
        return master;
      },
      wholeBoundMs,
      100,
    );
  }

  /** Of the present case. */
  async events(master: TestNode): Promise<readonly ToldEvent[]> {
    return (await toldBy(master.server.conninfo())).filter(({ id }) => id > this.#lastEvent);
  }

  /** Decisions of the present case in the workers' own logs. */
  decided(reason: string): number {
    return this.cluster.nodes
      .flatMap(({ name, worker }) => worker.decisions().slice(this.#decided.get(name) ?? 0))
      .filter((decision) => decision.reason === reason).length;
  }

  /** Acknowledged rows that the master does not have, each reported once. */
  async lost(master: TestNode): Promise<readonly number[]> {
    const missing = await auditRows(this.all, master.server);
    const news = missing.filter((id) => !this.#writtenOff.has(id));
    for (const id of news) this.#writtenOff.add(id);
    return news;
  }
}
