/** A seed is a run: the same one again, whatever ran before it, and a smaller one that shows the same. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { Worker } from '../../src/worker/worker.js';
import { mutatedCore } from './mutated-core.js';
import { mutationNamed, optionsFor, replacementsOf } from './mutations.js';
import { run } from './run.js';
import { shrink, smallest } from './shrink.js';

function digest(seed: number): string {
  const { cluster, violations } = run({ seed, workerClass: Worker, recording: true });
  const hash = createHash('sha256');
  for (const line of cluster.world.transcript ?? []) hash.update(line);
  hash.update(JSON.stringify([cluster.world.count, [...cluster.decisions], violations]));
  return hash.digest('hex');
}

test('the same seed gives the same run, event by event', () => {
  const seeds = [11, 12, 13, 14, 15, 16];
  const first = seeds.map(digest);
  assert.equal(new Set(first).size, seeds.length, 'other seeds give other runs');
  // In another order, so that nothing one run leaves behind can be what makes them equal.
  assert.deepEqual([...seeds].reverse().map(digest).reverse(), first);
});

test('the smallest set that still fails is found', () => {
  const fails = (kept: readonly number[]) => kept.includes(3) && kept.includes(12);
  assert.deepEqual(smallest([...Array(20).keys()], fails), [3, 12]);
  assert.deepEqual(
    smallest([1, 2, 3], () => true),
    [],
  );
});

test('a run that breaks a rule is shrunk to one that breaks the same rule with fewer faults', async () => {
  const mutation = mutationNamed('majority is one less');
  const mutated = await mutatedCore(replacementsOf(mutation));
  try {
    for (let seed = 1; seed <= 60; seed++) {
      const options = { ...optionsFor(mutation, seed), workerClass: mutated.workerClass };
      const whole = run({ ...options, stopAtFirst: true });
      const rule = whole.violations[0]?.rule;
      if (rule === undefined) continue;
      const smaller = shrink(options, rule);
      assert.ok(smaller.only.length < whole.faults.length);
      const { violations } = run({ ...options, ...smaller, stopAtFirst: true });
      assert.ok(violations.some((found) => found.rule === rule));
      return;
    }
    assert.fail('no seed broke a rule');
  } finally {
    mutated.remove();
  }
});
