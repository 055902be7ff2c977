/** One run: a cluster from a seed, faults, an end in which everything is whole again, and the verdict. */

import { openRequest, pauseOf } from '../../src/core/plan.js';
import { failoverTimeMs } from '../../src/core/types.js';
import { defaultSettings } from '../support/core-state.js';
import type { Violation } from './checkers.js';
import { type Cluster, Cluster as ClusterClass, type Topology } from './cluster.js';
import { syncSetting } from './configuration.js';
import { type Fault, type PlanOptions, planFaults } from './fault-plan.js';
import { healAll, schedule } from './faults.js';
import type { Host, WorkerClass } from './host.js';
import {
  addWitness,
  endPlannedWork,
  type OperatorPlan,
  planOperators,
  scheduleOperators,
} from './operators.js';
import { Random } from './random.js';
import { bringBack } from './witness-faults.js';

export interface RunOptions {
  readonly seed: number;
  readonly workerClass: WorkerClass;
  /** Done to the cluster before it starts: a mistake in the model. */
  readonly prepare?: (cluster: Cluster) => void;
  readonly recording?: boolean;
  /** The first violation is enough. */
  readonly stopAtFirst?: boolean;
  /** Only these faults of the plan, by place: for repeating a run with fewer. */
  readonly only?: readonly number[];
  readonly topology?: Topology;
  readonly faults?: readonly Fault[];
  readonly plan?: Partial<PlanOptions>;
  readonly operators?: boolean;
  /** Only these operations of the operators' plan, by place. */
  readonly onlyOperations?: readonly number[];
  /** Operators do these, several times. */
  readonly operationKinds?: readonly OperatorPlan['kind'][];
}

export interface RunResult {
  readonly seed: number;
  readonly topology: Topology;
  readonly faults: readonly Fault[];
  readonly operations: readonly OperatorPlan[];
  readonly violations: readonly Violation[];
  readonly simulatedMs: number;
  readonly cluster: Cluster;
}

const faultsFrom = 30_000;

/** When operators look after nodes that cannot help themselves. */
const operatorAfterMs = 120_000;
/** When they bring a witness back whose place another server has, if nobody can be master without it. */
const witnessAfterMs = 40_000;
/** After the end of all faults: how long until writes are taken, and until everything is as wished; and some T. */
const writesBoundMs = 75_000;
const wholeBoundMs = 375_000;
const boundInT = 3;

const paces = {
  quick: { keepaliveTimeMs: 1000, leaseTtlMs: 2000 },
  usual: { keepaliveTimeMs: defaultSettings.keepaliveTimeMs, leaseTtlMs: defaultSettings.leaseTtlMs },
  slow: { keepaliveTimeMs: 20_000, leaseTtlMs: 40_000 },
};

export function topologyOf(seed: number): Topology {
  const random = new Random(seed, 2);
  const nodes = random.pick([2, 2, 3, 3, 3, 3, 3, 3, 4, 5, 5, 7]);
  // Two nodes need one; an even number is best made odd; more are possible.
  const witnesses = random.pick(nodes === 2 ? [1, 1, 1, 3] : nodes === 4 ? [0, 1, 1] : [0, 0, 0, 0, 1, 2]);
  const names = Array.from({ length: nodes }, (_, i) => `n${i + 1}`).join(', ');
  const wishes = ['', `ANY 1 (${names})`, `ANY 1 (${names})`, `FIRST 1 (${names})`];
  if (nodes > 3) wishes.push(`ANY 2 (${names})`, `FIRST 2 (${names})`, 'ANY 1 (n1, n2, n3)');
  else wishes.push(`ANY 2 (${names})`);
  const quorum = random.pick(['auto', 'strict'] as const);
  const pace = random.pick([paces.quick, paces.usual, paces.usual, paces.slow]);
  // From numbers of its own, so that the other half of the seeds stays as it was.
  const poolPauseMs = new Random(seed, 5).pick([0, 5000]);
  return {
    nodes,
    witnesses,
    wish: random.pick(wishes),
    // While the only witness of two nodes is replaced, auto would mean: no guarantees.
    settings: { ...defaultSettings, ...pace, quorum: nodes === 2 ? 'strict' : quorum, poolPauseMs },
    latencyMs: random.pick([0.2, 0.3, 0.5, 2, 15]),
    clockError: random.pick([0, 0.001, 0.015]),
  };
}

export function run(options: RunOptions): RunResult {
  const { seed } = options;
  const topology = options.topology ?? topologyOf(seed);
  const cluster = new ClusterClass(topology, seed, options.workerClass, options.recording ?? false);
  options.prepare?.(cluster);
  const random = new Random(seed, 3);
  const failoverMs = failoverTimeMs({ ...topology.settings, name: '', seed: 1 });
  const planned = options.faults ?? planFaults(random, { ...planFor(random, topology), ...options.plan });
  const last = Math.max(faultsFrom, ...planned.filter(({ ambush }) => ambush === null).map(({ at }) => at));
  const until = last + random.between(0, 3) * failoverMs;
  const only = options.only === undefined ? null : new Set(options.only);
  const faults = planned.filter((_, i) => only === null || only.has(i));
  const operations =
    options.operators === false
      ? []
      : planOperators(new Random(seed, 4), topology, planned, until, options.operationKinds);
  const onlyOperations = options.onlyOperations === undefined ? null : new Set(options.onlyOperations);
  cluster.start();
  schedule(cluster, faults);
  const chosen = operations.filter((_, i) => onlyOperations === null || onlyOperations.has(i));
  scheduleOperators(cluster, chosen);
  cluster.watcher.stopAtFirst = options.stopAtFirst ?? false;
  try {
    cluster.world.runUntil(until);
    healAll(cluster);
    judgeEnd(cluster, Math.max(0, ...chosen.map(({ at }) => at)));
  } catch (error) {
    // Something spins, or the model itself broke: a failure of this seed like any other.
    cluster.watcher.violate('X1', error instanceof Error ? error.message : String(error));
  }
  return {
    seed,
    topology,
    faults: planned,
    operations,
    violations: cluster.watcher.violations,
    simulatedMs: cluster.world.now,
    cluster,
  };
}

/** A few bursts, close to each other or not; before one of them often a long time in which nothing happens. */
function planFor(random: Random, { nodes, settings }: Topology): PlanOptions {
  const bursts = random.integer(2, 6);
  const quietMs = random.between(20, 200) * settings.keepaliveTimeMs;
  return {
    from: faultsFrom,
    nodes,
    bursts,
    failoverMs: failoverTimeMs({ ...settings, name: '', seed: 1 }),
    every: random.pick([0.5, 1.5, 4]),
    quiet: random.chance(0.5) ? { before: random.integer(0, bursts - 1), forMs: quietMs } : null,
  };
}

/**
 * L1: one master takes writes soon; a while later every node follows it and synchronous replication is as wished. It stays so
 * from then on, but not before the last operator is done: a witness that is added anew is a voter when it is lease_ttl old.
 */
export function judgeEnd(cluster: Cluster, operatorsUntil = 0): void {
  const { world, watcher } = cluster;
  const healed = world.now;
  const { settings } = cluster.topology;
  const graceMs = boundInT * settings.keepaliveTimeMs * settings.keepaliveCount;
  const step = 5000;
  let writesAt = -1;
  let wholeAt = -1;
  while (world.now < healed + wholeBoundMs + graceMs && wholeAt < 0 && watcher.violations.length === 0) {
    cluster.hurry(step);
    endPlannedWork(cluster);
    world.runUntil(world.now + step);
    const writes = watcher.lastAcknowledged > world.now - step - 4000 && watcher.lastAcknowledged > healed;
    if (world.now > healed + witnessAfterMs && !writes)
      for (const witness of cluster.witnesses) bringBack(witness);
    if (world.now > healed + operatorAfterMs) mendBroken(cluster);
    if (writes && writesAt < 0) writesAt = world.now;
    if (writesAt < 0 && world.now > healed + writesBoundMs + graceMs) {
      watcher.violate(
        'L1',
        `no writes ${writesBoundMs + graceMs} ms after the last fault: ${describe(cluster)}`,
      );
      return;
    }
    if (writes && world.now > operatorsUntil && problemOf(cluster) === null) wholeAt = world.now;
  }
  if (watcher.violations.length > 0) return;
  if (wholeAt < 0) {
    watcher.violate('L1', `${problemOf(cluster) ?? 'no writes'}: ${describe(cluster)}`);
    return;
  }
  // And it stays so.
  const epoch = watcher.established?.row.epoch;
  world.runUntil(world.now + 30_000);
  const problem = problemOf(cluster);
  if (problem !== null) watcher.violate('L1', `did not stay whole: ${problem}: ${describe(cluster)}`);
  if (watcher.established?.row.epoch !== epoch)
    watcher.violate('L2', `epoch ${epoch} ended without a cause: ${describe(cluster)}`);
  const master = cluster.writable[0];
  if (master !== undefined) watcher.atEnd(master.server);
}

/**
 * A worker that starts beside data half rewound knows nothing of the cluster (the registry is in those data): an operator
 * gives it a fresh copy.
 */
function mendBroken(cluster: Cluster): void {
  const master = cluster.writable[0]?.server;
  if (master === undefined) return;
  const registered = cluster.writable[0]?.server.row?.nodes ?? [];
  cluster.witnesses.forEach((witness, place) => {
    const known = registered.find(({ name }) => name === witness.name)?.identity;
    const same = known?.address === witness.address && known.timeline === witness.branch.tli;
    // One that was replaced is added anew.
    if (known !== undefined && !same) addWitness(cluster, place);
  });
  for (const { server, state } of cluster.hosts) {
    if (server.life !== 'down') continue;
    // Stopped by an operator; or beside a worker that was told its node is removed and cannot see that it is back.
    if (!server.broken && (server.cleanShutdown || state === 'standby:ready')) server.start();
    if (!server.broken) continue;
    server.say('gets a fresh copy from an operator');
    server.branch = master.branch;
    server.end = master.end;
    server.broken = false;
    cluster.watcher.flushed(server);
    server.standbySignal = true;
    server.alterSystem({ fenced: false, primaryConninfo: '' });
    server.start();
  }
}

/** What is not yet as it should be; null = all is. */
export function problemOf(cluster: Cluster): string | null {
  const { writable } = cluster;
  const master = writable[0];
  if (master === undefined || writable.length > 1) return `${writable.length} servers are writable`;
  const row = master.server.row;
  if (row === null || row.master !== master.name)
    return `${master.name} is writable, the registry says ${row?.master}`;
  const request = openRequest(row);
  if (pauseOf(row) !== null) return 'the cluster is paused';
  if (cluster.pool.paused) return 'PgBouncer is paused';
  if (request !== null) return `request ${request.id} is ${request.state}`;
  if (!/^master:(connected|async)$/.test(master.state)) return `${master.name} is ${master.state}`;
  const registered = new Set(row.nodes.map((node) => node.name));
  for (const host of cluster.hosts) {
    if (host === master || !registered.has(host.name)) continue;
    const streams = master.server.senders.some(
      ({ name, state, connection }) => name === host.name && state === 'streaming' && connection.isWhole,
    );
    if (!streams) return `${host.name} does not stream from ${master.name}`;
    if (host.state !== 'standby:connected') return `${host.name} is ${host.state}`;
  }
  const voters = row.voters.map((voter) => voter.name);
  if (voters.length !== registered.size || voters.some((name) => !registered.has(name)))
    return `voters are ${voters.join(', ')}, nodes are ${[...registered].join(', ')}`;
  const wished = syncSetting(row.syncWish).names.filter(
    (name) => name !== master.name && registered.has(name),
  );
  if (row.syncNeeded < Math.min(row.syncWished, wished.length))
    return `sync is ${row.syncNeeded} of ${row.syncWished} wished`;
  const unheld = voters.find((name) => !holdsVote(cluster, master, name));
  return unheld === undefined
    ? null
    : `${master.name} does not hold the vote of ${unheld} on a whole session`;
}

/**
 * As the voter has it. The master may not know yet that the session is gone, or wait for a statement that TCP sends again in as
 * long a time as the cut lasted: the fault goes on for this vote (and so for a stream). With another vote gone (a server that
 * has just started gives none), the lease then ends after the last fault, by it.
 */
function holdsVote(cluster: Cluster, master: Host, voter: string): boolean {
  const server = cluster.serverNamed(voter);
  if (server === undefined) return false;
  // The lock of one that is too young is taken to see whether it is free, and given back at once.
  const isYoung = cluster.world.now - server.bornAt < cluster.topology.settings.leaseTtlMs;
  if (isYoung && server !== master.server) return false;
  return [...server.sessions].some(({ owner, locked, connection }) => {
    return owner === master.name && locked && connection.isWhole;
  });
}

export function describe(cluster: Cluster): string {
  return cluster.hosts
    .map(({ name, state, server, worker, powered }) => {
      const what = server.life === 'up' ? (server.inRecovery ? 'standby' : 'MASTER') : server.life;
      return `${name} ${powered ? what : 'off'} ${server.branch.tli}:${server.end} ${worker === null ? 'no worker' : state}`;
    })
    .join('; ');
}
