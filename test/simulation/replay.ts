/** One seed again: its transcript, and the search for a smaller run that breaks the same rule. */
import { describeFault } from './fault-plan.js';
import { type RunOptions, type RunResult, run } from './run.js';
import { shrink } from './shrink.js';
import { prepare, replayLine, type Variant } from './variant.js';

export interface ReplayOptions {
  readonly seed: number;
  readonly variant: Variant;
  /** Numbers of faults and operations, '1,4'; '-' = none; null = all of the plan. */
  readonly only: string | null;
  readonly operations: string | null;
  readonly shrink: boolean;
}

function numbers(text: string): readonly number[] {
  return text === '-' ? [] : text.split(',').map(Number);
}

/** True when a rule was broken. */
export async function replay(asked: ReplayOptions): Promise<boolean> {
  const prepared = await prepare(asked.variant);
  try {
    const options: RunOptions = {
      ...prepared.optionsOf(asked.seed),
      ...(asked.only === null ? {} : { only: numbers(asked.only) }),
      ...(asked.operations === null ? {} : { onlyOperations: numbers(asked.operations) }),
    };
    const result = run({ ...options, recording: true });
    const [first] = result.violations;
    if (!asked.shrink || first === undefined) {
      print(result, options);
      return first !== undefined;
    }
    const smaller = shrink(options, first.rule);
    print(run({ ...options, ...smaller, recording: true, stopAtFirst: true }), { ...options, ...smaller });
    console.log(`\n${replayLine(asked.seed, asked.variant, smaller.only, smaller.onlyOperations)}`);
    return true;
  } finally {
    prepared.remove();
  }
}

function print(result: RunResult, { only, onlyOperations }: RunOptions): void {
  const { topology, faults, operations, violations, cluster } = result;
  const { keepaliveTimeMs, keepaliveCount, leaseTtlMs, quorum } = topology.settings;
  console.log(
    `seed ${result.seed}: ${topology.nodes} nodes, synchronous_standby_names '${topology.wish}', keepalive ${keepaliveTimeMs} ms x ` +
      `${keepaliveCount}, lease_ttl ${leaseTtlMs} ms, quorum ${quorum}, latency ${topology.latencyMs} ms`,
  );
  for (const line of cluster.world.transcript ?? []) console.log(line);
  console.log('');
  for (const [i, fault] of faults.entries()) {
    if (only === undefined || only.includes(i))
      console.log(`fault ${i}: from ${(fault.at / 1000).toFixed(3)}: ${describeFault(fault)}`);
  }
  for (const [i, { at, kind, node, wish }] of operations.entries()) {
    if (onlyOperations === undefined || onlyOperations.includes(i))
      console.log(`operation ${i}: at ${(at / 1000).toFixed(3)}: ${kind} n${node + 1} '${wish}'`);
  }
  for (const { rule, at, what } of violations)
    console.log(`!! ${rule} at ${(at / 1000).toFixed(3)}: ${what}`);
  if (violations.length === 0) console.log('no violation');
}
