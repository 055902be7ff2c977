/** Composition: a whole cluster in one world. Topology in, running hosts out. */
import type { ReasonRecord } from '../../src/core/reasons.js';
import type { CoreSettings, Registry, Voter } from '../../src/core/types.js';
import { Checkers } from './checkers.js';
import { Writer } from './clients.js';
import { type Configuration, canonical } from './configuration.js';
import { Host, type WorkerClass } from './host.js';
import { type Machine, Network } from './network.js';
import type { Pool } from './pools-model.js';
import { Random } from './random.js';
import { Server } from './server.js';
import { heardFatal } from './sessions-model.js';
import { shapedRow, shapedSettings } from './shapes.js';
import type { Surroundings } from './surroundings.js';
import { Branch } from './wal.js';
import { World } from './world.js';

export interface Topology {
  readonly nodes: number;
  readonly witnesses: number;
  /** synchronous_standby_names in every server's own file. */
  readonly wish: string;
  readonly settings: Omit<CoreSettings, 'name' | 'seed'>;
  readonly latencyMs: number;
  /** Most by which a machine's clock is fast or slow. */
  readonly clockError: number;
}

export const systemIdentifier = '7000000000000000001';

export class Cluster implements Surroundings {
  readonly topology: Topology;
  readonly world: World;
  readonly network: Network;
  readonly hosts: Host[] = [];
  readonly witnesses: Server[] = [];
  readonly watcher: Checkers;
  readonly flags = new Map<Branch, string>();
  readonly pool: Pool = { paused: false };
  /** Witnesses added anew so far. */
  added = 0;
  /** Requests asked so far. */
  requests = 0;
  readonly #writers = new Map<Server, Writer>();
  /** Something is going on until then: writers write often. */
  #busyUntil = 0;
  /** Moments that matter, until then: writers hurry. */
  #hotUntil = 0;
  /** All faults are over. */
  healed = false;
  /** Told of every decision. */
  onDecision: ((host: Host, code: string, record: ReasonRecord) => void) | null = null;
  /** Decisions by reason code, all hosts together. */
  readonly decisions = new Map<string, number>();
  readonly #servers = new Map<string, Server>();
  #branches = 0;

  constructor(topology: Topology, seed: number, workerClass: WorkerClass, recording: boolean) {
    this.topology = topology;
    this.world = new World(new Random(seed, 1), recording);
    this.network = new Network(this.world, topology.nodes + topology.witnesses, topology.latencyMs);
    const noGuarantees =
      topology.nodes === 2 && topology.witnesses === 0 && topology.settings.quorum === 'auto';
    this.watcher = new Checkers(
      this.world,
      { noGuarantees, asyncPause: (server) => this.#asyncPause(server) },
      (name) => this.#servers.get(name),
    );
    const first = this.newBranch(1, null, 0, 'n1');
    first.tip = 1000;
    const watcher = {
      decided: (host: Host, record: ReasonRecord) => {
        this.decisions.set(record.code, (this.decisions.get(record.code) ?? 0) + 1);
        this.watchClosely(3000);
        if (record.code === 'handed-over')
          this.watcher.handedOver(host.server, this.#servers.get(String(record.details['target'])));
        this.onDecision?.(host, record.code, record);
      },
      workerFailed: (host: Host, error: unknown) =>
        this.watcher.violate('X1', `worker of ${host.name} broke: ${errorText(error)}`),
    };
    for (let i = 0; i < topology.nodes; i++) {
      const name = canonical(`n${i + 1}`);
      const host = new Host(
        this.world,
        name,
        i,
        shapedSettings(topology.settings, name, 1),
        workerClass,
        watcher,
      );
      host.clock.rate = this.#clockRate();
      host.server = this.#makeServer(name, 'node', host, first, i === 0 ? '' : streamConninfo(name, 'n1'));
      host.server.rate = host.clock.rate;
      this.hosts.push(host);
    }
    for (let i = 0; i < topology.witnesses; i++) {
      const name = canonical(`w${i + 1}`);
      const machine: Machine = { name, index: topology.nodes + i, powered: true, paused: false };
      const server = this.#makeServer(name, 'witness', machine, first, '');
      server.systemIdentifier = `90000000000000000${i}`;
      server.rate = this.#clockRate();
      this.witnesses.push(server);
    }
  }

  #clockRate(): number {
    const { clockError } = this.topology;
    return 1 + this.world.random.between(-clockError, clockError);
  }

  #makeServer(
    name: string,
    kind: Server['kind'],
    machine: Machine,
    branch: Branch,
    primaryConninfo: string,
  ): Server {
    const configuration: Configuration = {
      userNames: kind === 'node' ? this.topology.wish : '',
      autoNames: null,
      primaryConninfo,
      shortRetry: false,
      fenced: false,
      priority: this.topology.settings.priority,
    };
    const server = new Server(name, kind, machine, this, systemIdentifier, branch, configuration);
    server.onFatal = heardFatal;
    this.#servers.set(name, server);
    return server;
  }

  serverNamed(name: string): Server | undefined {
    return this.#servers.get(name);
  }

  newBranch(tli: number, parent: Branch | null, forkLsn: number, writer: string): Branch {
    this.#branches += 1;
    return new Branch(this.#branches, tli, parent, forkLsn, writer);
  }

  /** Listeners hear of it when their connection works; nobody relies on it. */
  notify(server: Server): void {
    for (const host of this.hosts) {
      if (host.listensTo !== server.name || !this.network.connected(host, server.machine)) continue;
      this.world.after(this.network.delay(server.machine, host) + 1, () => host.hint());
    }
  }

  /** Registered nodes and witnesses, servers up, workers started one after another. */
  start(voterCount = this.hosts.length): void {
    const nodes = this.hosts.map((host, i) => voterOf(host.name, 'node', i + 1));
    const witnesses = this.witnesses.map((server, i) => witnessOf(server, 100 + i));
    for (const host of this.hosts) host.server.start();
    for (const witness of this.witnesses) witness.start();
    this.world.runUntil(5000);
    const row: Registry = {
      epoch: 1,
      version: 1,
      promotionId: 'first',
      promotions: [{ timeline: 1, id: 'first' }],
      systemIdentifier,
      master: 'n1',
      syncWish: '',
      syncMembers: [],
      syncNeeded: 0,
      syncWished: 0,
      voters: [...nodes.slice(0, voterCount), ...witnesses],
      nodes: [...nodes.slice(0, voterCount), ...witnesses],
    };
    this.hosts[0]?.server.writeRow(shapedRow(row));
    for (const host of this.hosts) {
      this.world.after(this.world.random.between(0, 2000), () => host.startWorker());
    }
    this.startWriters();
  }

  startWriters(): void {
    for (const { server } of this.hosts)
      this.#writers.set(server, new Writer(server, () => this.#writePauseMs()));
  }

  stopWriters(): void {
    for (const writer of this.#writers.values()) writer.stop();
    this.#writers.clear();
  }

  becameWritable(server: Server): void {
    this.#writers.get(server)?.wake();
  }

  /** A fault is in force, or the cluster comes to rest after one. */
  hurry(forMs: number): void {
    this.#busyUntil = Math.max(this.#busyUntil, this.world.now + forMs);
  }

  /** Around faults and decisions: what goes wrong goes wrong within milliseconds. */
  watchClosely(forMs: number): void {
    const wasHot = this.world.now < this.#hotUntil;
    this.#hotUntil = Math.max(this.#hotUntil, this.world.now + forMs);
    if (wasHot) return;
    for (const writer of this.#writers.values()) writer.wake();
  }

  #writePauseMs(): number {
    const { now } = this.world;
    if (now < this.#hotUntil) return 300;
    return now < this.#busyUntil ? 2000 : 8000;
  }

  /** Servers that take writes right now. */
  get writable(): readonly Host[] {
    return this.hosts.filter((host) => host.server.writable);
  }

  get row(): Registry | null {
    return this.watcher.established?.row ?? null;
  }

  #asyncPause(server: Server): boolean {
    const row = server.row;
    const host = this.hosts.find((candidate) => candidate.server === server);
    if (row === null || host === undefined || row.syncWished > 0) return false;
    const { now } = this.world;
    const { leaseTtlMs } = this.topology.settings;
    const isIdle = host.worker === null || host.stalled;
    // What was in the pipe of a machine that goes on is out before anybody on it acts. When its monotonic clock stood
    // still its guard comes late by what was lost; a worker that ran before notices that by wall time.
    const knowsNoPause = isIdle || host.workerSince >= host.awakeAt;
    if (now - host.awakeAt < (knowsNoPause && host.lostMs > 0 ? 2 * leaseTtlMs : 1000)) return true;
    if (this.#isUndecided(host)) return true;
    if (host.guard.armed) return false;
    const isUnattended = isIdle || now - host.runningSince < 2 * leaseTtlMs;
    // The guard was killed too, or stood down by a clean stop; or the server was started by somebody else meanwhile.
    return isUnattended && (host.unguarded || server.bornAt > host.unattendedSince);
  }

  /**
   * The server was there before its worker, or that began beside a server that was down and knew no cluster. Its claim is decided T
   * later at the latest, by its guard if by nobody else.
   */
  #isUndecided({ server, clock, attendedAt, awaitedIncarnation, leaseAt }: Host): boolean {
    const { keepaliveTimeMs, keepaliveCount, leaseTtlMs } = this.topology.settings;
    const boundMs = (keepaliveTimeMs * keepaliveCount + leaseTtlMs * 0.05) / clock.rate + 200;
    // A frozen server cannot be claimed for, and acknowledges nothing.
    const isAwaited = awaitedIncarnation === server.incarnation;
    const since = Math.max(isAwaited ? server.bornAt : attendedAt, server.thawedAt);
    if (!isAwaited && attendedAt <= server.bornAt) return false;
    return leaseAt < server.bornAt && this.world.now < since + boundMs;
  }
}

export function voterOf(name: string, kind: Voter['kind'], seqno: number): Voter {
  const conninfo = canonical(`host=${name} port=5432 dbname=app user=keeper`);
  return { name, kind, conninfo, database: 'app', seqno };
}

/** That very server, as add_witness finds it. */
export function witnessOf(server: Server, seqno: number): Voter {
  const { name, systemIdentifier, address, branch } = server;
  const identity = { token: `${name} ${seqno}`, systemIdentifier, timeline: branch.tli, address };
  return { ...voterOf(name, 'witness', seqno), identity };
}

export function streamConninfo(name: string, upstream: string): string {
  return canonical(`host=${upstream} port=5432 user=keeper application_name=${name}`);
}

function errorText(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
