/** What a deliberate mistake is, and in which clusters it shows soonest. Lists: mutations-of-data.ts, mutations-of-votes.ts. */

import type { ReasonCode } from '../../src/core/reasons.js';
import type { Cluster, Topology } from './cluster.js';
import type { Fault, FaultKind } from './fault-plan.js';
import type { Mistake } from './host.js';
import type { Replacement } from './mutated-core.js';
import type { OperatorPlan } from './operators.js';

export interface Mutation {
  readonly name: string;
  /** The schedule of the protocol's review that the rule answers, where there is one. */
  readonly schedule?: string;
  readonly replacements: readonly Replacement[];
  /** Without the guard, which would hide the mistake: the worker must be right by itself. */
  readonly unguarded?: boolean;
  /** Rules of which one must be reported. */
  readonly caughtBy: readonly string[];
  /** Clusters in which the mistake shows soonest. */
  readonly nodes?: number;
  readonly wish?: 'off' | 'one' | 'two';
  readonly kinds?: readonly FaultKind[];
  /** Decisions at which faults strike. */
  readonly ambushCodes?: readonly ReasonCode[];
  readonly latencyMs?: number;
  readonly settings?: Partial<Topology['settings']>;
  readonly aims?: readonly Fault['aim'][];
  /** What operators do meanwhile, several times; otherwise as the seed says. */
  readonly operations?: readonly OperatorPlan['kind'][];
  /**
   * Part of the name of the play (scenarios/) in which a checker reports it, where random faults hardly ever come so far: a
   * play stays what it is when the model changes, a seed does not.
   */
  readonly play?: string;
  /** Seeds known to show it, tried first; where there is no play. */
  readonly seeds?: readonly number[];
  /** What carries the rule is no part of the core: the same mistake in the model of it. */
  readonly inModel?: (cluster: Cluster) => void;
  /** Another rule hides the mistake, so it is taken out as well: which, and why both are kept. */
  readonly hiddenBy?: string;
}

export const one = (file: string, find: string, replace: string): readonly Replacement[] => [
  { file, find, replace },
];

/** That mistake in what carries decisions out, on every host. */
export function mistakenly(cluster: Cluster, mistake: Mistake): void {
  for (const host of cluster.hosts) host.mistakes.add(mistake);
}

/** What `unguarded` takes out. */
export const noGuard = one('worker/worker.js', 'this.#ports.guard?.tell(guardOrder(this.#keeper));', '');

/**
 * With sync off a voter also shows until when the master's worker spoke to it, and candidates wait for T after that. A
 * mistake that this wait covers up is made in a core without it.
 */
export const noTrace: readonly Replacement[] = [
  ...one('core/lease-trace.js', 'k.seenByPeerAt = Math.max(k.seenByPeerAt, saidAt);', ''),
  ...one('core/lease-trace.js', 'k.seenByPeerAt = Math.max(k.seenByPeerAt, Math.min(k.now, endsAt));', '{}'),
];

export const cuts: readonly FaultKind[] = [
  'isolate',
  'isolate-one-way',
  'partition',
  'cut-pair',
  'cut-one-way',
];
