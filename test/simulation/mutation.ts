/** What a deliberate mistake is, and in which clusters it shows soonest. Lists: mutations-of-data.ts, mutations-of-votes.ts. */

import type { ReasonCode } from '../../src/core/reasons.js';
import type { Topology } from './cluster.js';
import type { Fault, FaultKind } from './fault-plan.js';
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
  readonly latencyMs?: number;
  readonly settings?: Partial<Topology['settings']>;
  readonly aims?: readonly Fault['aim'][];
  /** What operators do meanwhile, several times; otherwise as the seed says. */
  readonly operations?: readonly OperatorPlan['kind'][];
  /** These faults and no others, where only one schedule shows it. */
  readonly faults?: readonly Fault[];
  /** No run has shown it so far, and why that may be: an open task, not a proof that the rule is not needed. */
  readonly unnoticed?: string;
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

export const usual = { keepaliveTimeMs: 5000, keepaliveCount: 3, leaseTtlMs: 10_000 };

/** With a lease nearly as long as T the wait for T hides nothing any more. */
export const tight = { keepaliveTimeMs: 1000, keepaliveCount: 3, leaseTtlMs: 2900 };

/** One fault of such a schedule: at a time, or when that is decided after it. */
export function strike(
  kind: FaultKind,
  aim: Fault['aim'],
  at: number,
  forMs: number,
  when: Partial<Pick<Fault, 'node' | 'choice'>> & {
    readonly code?: ReasonCode;
    readonly delayMs?: number;
  } = {},
): Fault {
  const { code, delayMs = 0, node = 1, choice = 0.5 } = when;
  const ambush = code === undefined ? null : { code, skip: 0, delayMs };
  return { at, ambush, kind, node, other: 2, aim, forMs, choice };
}

/**
 * The next master is cut off as it promotes, and the voter it shares with the others restarts: whoever takes that vote at
 * once is master beside it.
 */
export const restartedVoter: readonly Fault[] = [
  strike('isolate', 'master', 40_000, 16_500),
  strike('isolate', 'actor', 41_000, 60_000, { code: 'promoting', delayMs: 1 }),
  strike('backend-crash', 'peer', 41_000, 0, { code: 'promoting', delayMs: 4 }),
];
