/** What a cluster must bear, it bears: no other master, no new epoch, and all is as before (L2). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from '../../src/worker/worker.js';
import { describeFault } from './fault-plan.js';
import { runHarmless } from './harmless.js';
import { mutatedCore } from './mutated-core.js';
import { one } from './mutation.js';
import { perform } from './scenarios/scenario.js';

const seeds = 200;

test('faults below the tolerance, one at a time, change no master', () => {
  const wrong: string[] = [];
  for (let seed = 1; seed <= seeds; seed++) {
    const { violation, faults } = runHarmless(seed, Worker);
    const last = faults.at(-1);
    if (violation !== null)
      wrong.push(
        `seed ${seed}: ${violation.rule}: ${violation.what}; ${last === undefined ? '' : describeFault(last)}`,
      );
  }
  assert.deepEqual(wrong, []);
});

test('a cluster with a T of one keepalive_time to which nothing happens keeps its master', () => {
  for (const names of ['', 'ANY 1 (n1, n2, n3)']) {
    const settings = { keepaliveTimeMs: 2000, keepaliveCount: 1, leaseTtlMs: 1333 };
    const quiet = { name: 'quiet', why: '', setting: { nodes: 3, names, settings }, play: () => undefined };
    assert.equal(perform(quiet, 1, Worker).failure, null, names);
  }
});

test('a master that is ended for too little is noticed', async () => {
  const { workerClass, remove } = await mutatedCore(
    one(
      'core/roles/master.js',
      'if (k.now - m.ownAliveAt >= failoverTimeMs(k.settings) && !isLeftAlone(k))',
      'if (k.now - m.ownAliveAt >= k.settings.keepaliveTimeMs)',
    ),
  );
  try {
    assert.equal(runHarmless(1, workerClass).violation?.rule, 'L2');
  } finally {
    remove();
  }
});
