/**
 * L2: one fault after the other that a cluster must bear, each over and mended before the next. The master stays, whatever
 * else its nodes do.
 */
import { failoverTimeMs } from '../../src/core/types.js';
import type { Violation } from './checkers.js';
import { Cluster, type Topology } from './cluster.js';
import { type Fault, type FaultKind, harmlessKinds } from './fault-plan.js';
import { schedule } from './faults.js';
import type { WorkerClass } from './host.js';
import { Random } from './random.js';
import { describe, problemOf, topologyOf } from './run.js';

/** A loss of the master's own server is another matter. */
const onStandbysOnly: readonly FaultKind[] = [
  'backend-crash',
  'crash-server',
  'stop-server',
  'freeze-server',
  'pause-replay',
  'block-replay',
  'slow-replay',
];

/** A path so slow that a poll fails is a cut; wall time that jumps ahead is a machine that slept, and ends a lease (I2). */
const milder: ReadonlyMap<FaultKind, number> = new Map([
  ['slow-path', 0.4],
  ['jump-wall', 0.5],
]);

const faultsPerRun = 6;
/** A standby that was lost is back by then, with T more. */
const mendedMs = 180_000;

function failoverMsOf({ settings }: Topology): number {
  return failoverTimeMs({ ...settings, name: '', seed: 1 });
}

/** Harmless as long as it is over long before the lease. */
const brief: readonly FaultKind[] = ['kill-worker', 'stop-worker', 'stall-worker', 'isolate'];

function durationOf(random: Random, kind: FaultKind, topology: Topology): number {
  if (brief.includes(kind)) return random.between(0, 0.2) * topology.settings.leaseTtlMs;
  // Who starts a server waits until it is stopped.
  return (kind === 'stop-server' ? 1000 : 0) + random.between(0, 3) * failoverMsOf(topology);
}

function draw(random: Random, { topology, world }: Cluster): Fault {
  const { nodes } = topology;
  const kind = random.pick(harmlessKinds);
  const node = random.integer(0, nodes - 1);
  return {
    at: Math.round(world.now + 1000),
    ambush: null,
    kind,
    node,
    other: (node + random.integer(1, nodes - 1)) % nodes,
    aim: onStandbysOnly.includes(kind) ? 'standby' : 'any',
    forMs: Math.round(durationOf(random, kind, topology)),
    choice: Math.round((milder.get(kind) ?? 1) * random.unit() * 1000) / 1000,
  };
}

export interface HarmlessRun {
  readonly violation: Violation | null;
  readonly faults: readonly Fault[];
  readonly cluster: Cluster;
}

export function runHarmless(seed: number, workerClass: WorkerClass, recording = false): HarmlessRun {
  const cluster = new Cluster(topologyOf(seed), seed, workerClass, recording);
  const { world, watcher, topology } = cluster;
  const random = new Random(seed, 5);
  const faults: Fault[] = [];
  watcher.stopAtFirst = true;
  const untilWhole = () => {
    const boundMs = mendedMs + failoverMsOf(topology);
    for (const until = world.now + boundMs; problemOf(cluster) !== null && !world.halted; ) {
      world.runUntil(world.now + 1000);
      if (world.now > until) watcher.violate('L1', `${problemOf(cluster)}: ${describe(cluster)}`);
    }
  };
  cluster.start();
  untilWhole();
  world.runUntil(world.now + 2 * topology.settings.leaseTtlMs);
  watcher.steady = true;
  while (faults.length < faultsPerRun && !world.halted) {
    const fault = draw(random, cluster);
    faults.push(fault);
    schedule(cluster, [fault]);
    world.runUntil(fault.at + fault.forMs + 1000);
    untilWhole();
    world.runUntil(world.now + topology.settings.leaseTtlMs);
  }
  return { violation: watcher.violations[0] ?? null, faults, cluster };
}
