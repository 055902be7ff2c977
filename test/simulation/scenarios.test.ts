/**
 * Every schedule of the protocol's review, played on the simulated cluster with the production core: nothing is lost, and
 * the outcome is the one the rule demands. Then once more with that rule taken out of the core: it must be missed.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Worker } from '../../src/worker/worker.js';
import { mutatedCore } from './mutated-core.js';
import { plays } from './scenarios/plays.js';
import { perform } from './scenarios/scenario.js';

/** Latencies and other small delays differ from seed to seed; the outcome must not. */
const seeds = Array.from({ length: 20 }, (_, i) => i + 1);

/** Small delays may save a core without its rule, but not every time. */
const triesWithout = 3;

test('SPEC.md has a row for every schedule of the review, with the scenarios there are', () => {
  const spec = readFileSync(new URL('../../../src/core/SPEC.md', import.meta.url), 'utf8');
  const table = spec.split('<!-- schedules -->')[1]?.split('<!-- /schedules -->')[0] ?? '';
  const rows = [...table.matchAll(/^\| ([AB]\d+) [^|]*\|[^|]*\|([^|]*)\|/gm)];
  const schedules = ['A', 'B'].flatMap((part) => Array.from({ length: 13 }, (_, i) => `${part}${i + 1}`));
  assert.deepEqual(
    rows.map(([, schedule]) => schedule),
    schedules,
  );
  for (const [, schedule, cell = ''] of rows) {
    const played = Object.entries(plays).flatMap(([group, scenarios]) => {
      const count = scenarios.filter(({ name }) => name.startsWith(`${schedule} `)).length;
      return count === 0 ? [] : [`${count} in ${group}`];
    });
    assert.deepEqual(cell.match(/\d+ in [a-z-]+/g) ?? [], played, schedule);
  }
});

for (const scenario of Object.values(plays).flat()) {
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
