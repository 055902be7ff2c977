/** Whole clusters from seeds, under random faults: fixed ones that must stay well, and fresh ones at every run. */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { Worker } from '../../src/worker/worker.js';
import { run } from './run.js';

/** Enough to meet every kind of fault many times; well under a minute on one core. */
const fixedSeeds = 250;
const freshSeeds = 150;

function judge(seeds: Iterable<number>): void {
  const wrong: string[] = [];
  for (const seed of seeds) {
    const { violations, topology } = run({ seed, workerClass: Worker });
    const [first] = violations;
    if (first === undefined) continue;
    const settings = `${topology.nodes} nodes, synchronous_standby_names '${topology.wish}'`;
    wrong.push(`seed ${seed} (${settings}): ${first.rule} at ${Math.round(first.at)} ms: ${first.what}`);
  }
  assert.deepEqual(wrong, [], 'repeat one with: npm run soak -- --seed SEED');
}

test('fixed seeds end without a violation', () => {
  judge(Array.from({ length: fixedSeeds }, (_, i) => i + 1));
});

test('fresh seeds end without a violation', (context) => {
  const first = randomInt(1_000_000, 1_000_000_000);
  context.diagnostic(`seeds ${first} to ${first + freshSeeds - 1}`);
  judge(Array.from({ length: freshSeeds }, (_, i) => first + i));
});
