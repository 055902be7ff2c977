/**
 * Every schedule of the protocol's review, played on the simulated cluster with the production core: nothing is lost, and
 * the outcome is the one the rule demands. Then once more with that rule taken out of the core: it must be missed.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from '../../src/worker/worker.js';
import { mutatedCore } from './mutated-core.js';
import { comingBack } from './scenarios/coming-back.js';
import { freeze } from './scenarios/freeze.js';
import { liveness } from './scenarios/liveness.js';
import { perform } from './scenarios/scenario.js';
import { syncSet } from './scenarios/sync-set.js';
import { votes } from './scenarios/votes.js';
import { witnesses } from './scenarios/witnesses.js';

/** Latencies and other small delays differ from seed to seed; the outcome must not. */
const seeds = Array.from({ length: 20 }, (_, i) => i + 1);

/** Small delays may save a core without its rule, but not every time. */
const triesWithout = 3;

for (const scenario of [...syncSet, ...freeze, ...comingBack, ...liveness, ...votes, ...witnesses]) {
  test(scenario.name, async () => {
    for (const seed of seeds) {
      const { failure } = perform(scenario, seed, Worker);
      assert.equal(failure, null, `seed ${seed}`);
    }
    if (scenario.without === undefined) return;
    const { rule, replacements, shows } = scenario.without;
    const { workerClass, remove } = await mutatedCore(replacements);
    try {
      const failures: string[] = [];
      while (failures.length < triesWithout && !failures.some((failure) => shows.test(failure)))
        failures.push(
          perform(scenario, seeds[failures.length] ?? 1, workerClass).failure ?? 'nothing went wrong',
        );
      assert.match(failures.at(-1) ?? '', shows, `without "${rule}": ${failures.join(' | ')}`);
    } finally {
      remove();
    }
  });
}
