/** A master whose worker cannot act: the guard ends the server when the lease runs out, and the others go on. */
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { until } from '../../src/testbed/server.js';
import { FailoverCluster, stepsOn } from '../support/failover-cluster.js';
import { guardsOf } from '../support/guards.js';

describe('the guard beside a master', {
  concurrency: false,
  skip: process.platform === 'linux' ? false : 'the guard needs Linux',
}, () => {
  let three: FailoverCluster;

  before(async () => {
    three = await FailoverCluster.create({ nodes: 3, syncNames: 'ANY 1 (n1, n2, n3)' });
  });

  after(async () => {
    await three.remove();
  });

  const step = stepsOn(() => three);

  step('there is one for the master and none for a standby', async () => {
    await three.untilAllVote('n1');
    await until('the guard of n1 runs', () => guardsOf(three.node('n1')).length === 1);
    assert.deepEqual(guardsOf(three.node('n2')), []);
  });

  step('a worker that is started again in time finds its guard, and nothing happens', async () => {
    const master = await three.master();
    const [guard] = guardsOf(master);
    await master.worker.kill();
    await delay(300);
    master.worker.start();
    await three.untilAllVote(master.name);
    assert.deepEqual(guardsOf(master), [guard], 'the same guard');
    assert.equal((await three.master()).name, master.name);
  });

  step('a worker killed for good: its server is ended, another one takes over, nothing is lost', async () => {
    const old = await three.master();
    await three.untilAllVote(old.name);
    const pinned = three.pin(old);
    await until('the pinned client writes', () => pinned.acknowledged.length > 5);
    const since = performance.now();
    await old.worker.kill();
    const next = await three.untilTakenOver(old, since);
    assert.equal(old.server.isRunning(), false);
    three.assertNoOverlap(since, pinned);
    await three.assertNothingLost(next);
    old.worker.start();
    await three.untilAllVote(next.name);
  });

  step(
    'a worker that hangs: the same, and it brings its server back as a standby when it goes on',
    async () => {
      const old = await three.master();
      await three.untilAllVote(old.name);
      const pinned = three.pin(old);
      await until('the pinned client writes', () => pinned.acknowledged.length > 5);
      const since = performance.now();
      old.worker.freeze();
      const next = await three.untilTakenOver(old, since);
      three.assertNoOverlap(since, pinned);
      old.worker.thaw();
      await three.untilAllVote(next.name);
      await three.assertNothingLost(next);
    },
  );

  step('a guard that dies is replaced', async () => {
    const master = await three.master();
    const [guard] = guardsOf(master);
    assert.ok(guard !== undefined);
    process.kill(guard, 'SIGKILL');
    await until('there is another guard', () => guardsOf(master).some((pid) => pid !== guard));
  });

  step('a worker that is stopped on purpose takes its guard along and leaves its server alone', async () => {
    const master = await three.master();
    await three.untilAllVote(master.name);
    assert.equal(await master.worker.stop(), 0);
    await until('the guard is gone', () => guardsOf(master).length === 0);
    await delay(4000);
    assert.equal(master.server.isRunning(), true);
    await three.untilWriting();
    master.worker.start();
    await three.untilAllVote(master.name);
    assert.equal((await three.master()).name, master.name);
  });
});
