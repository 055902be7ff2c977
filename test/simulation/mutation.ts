/** What a deliberate mistake is, and in which clusters it shows soonest. Lists: mutations-of-data.ts, mutations-of-votes.ts. */
import type { ReasonCode } from '../../src/core/reasons.js';
import type { FaultKind } from './fault-plan.js';
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
  /** What operators do meanwhile, several times; otherwise as the seed says. */
  readonly operations?: readonly OperatorPlan['kind'][];
  /** Seeds known to show it, tried first. */
  readonly seeds?: readonly number[];
}

export const one = (file: string, find: string, replace: string): readonly Replacement[] => [
  { file, find, replace },
];

/** What `unguarded` takes out. */
export const noGuard = one('worker/worker.js', 'this.#ports.guard?.tell(guardOrder(this.#keeper));', '');

export const cuts: readonly FaultKind[] = [
  'isolate',
  'isolate-one-way',
  'partition',
  'cut-pair',
  'cut-one-way',
];
export const crashes: readonly FaultKind[] = ['crash-server', 'power-off', 'backend-crash', 'freeze-server'];
