/** One failover of a testbed as its clients and its workers saw it: used by the demo and the benchmark. */
import type { TestCluster, TestNode } from './cluster.js';
import { until } from './until.js';
import type { Acknowledged, Writer } from './writer.js';

export interface FailoverStep {
  /** What was done, for people. */
  readonly what: string;
  readonly reason: string;
  /** ms since the master was killed or frozen. */
  readonly atMs: number;
}

export interface Failover {
  readonly oldMaster: TestNode;
  readonly newMaster: TestNode;
  /** From the fault to the first acknowledged write elsewhere, ms. */
  readonly outageMs: number;
  readonly first: Acknowledged;
  readonly steps: readonly FailoverStep[];
}

/** The new master's decisions on its way, in their order. */
const milestones: readonly (readonly [reason: string, what: string])[] = [
  ['node-lost', 'noticed that the master is gone'],
  ['election-started', 'evidence complete: the others were asked'],
  ['votes-held', 'majority of votes held'],
  ['nodes-frozen', 'siblings re-pointed, nothing missing'],
  ['promoting', 'votes proven once more, promotion sent'],
  ['promoted', 'server left recovery'],
  ['epoch-established', 'new epoch on a majority'],
  ['master-ready', 'commits released'],
];

export type Fault = 'kill' | 'freeze';

/** Strikes the master while `writer` writes, and waits for the first write acknowledged by somebody else. */
export async function failOver(
  cluster: TestCluster,
  writer: Writer,
  fault: Fault,
  boundMs = 120_000,
): Promise<Failover> {
  const oldMaster = await cluster.master();
  if (oldMaster === null) throw new Error('the cluster has no master');
  const wall = Date.now();
  const at = performance.now();
  if (fault === 'kill') oldMaster.server.kill();
  else {
    oldMaster.worker.freeze();
    oldMaster.server.freeze();
  }
  const first = await until(
    'another server acknowledges a write',
    () => writer.firstSince(at, oldMaster.name),
    boundMs,
    1,
  );
  const newMaster = cluster.node(first.server);
  await newMaster.worker.untilDecision('master-ready', wall);
  const decisions = newMaster.worker.decisions(wall);
  const steps = milestones.flatMap(([reason, what]) => {
    const found = decisions.find((decision) => decision.reason === reason);
    return found === undefined ? [] : [{ what, reason, atMs: found.time - wall }];
  });
  return { oldMaster, newMaster, outageMs: first.at - at, first, steps };
}
