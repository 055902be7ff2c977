/** Five servers: the master and the one that would follow it die together. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FailoverCluster } from '../support/failover-cluster.js';

test('with the master and its next master dead at once, a majority of the others goes on without loss', async () => {
  const five = await FailoverCluster.create({ nodes: 5, syncNames: 'ANY 2 (n1, n2, n3, n4, n5)' });
  try {
    await five.untilAllVote('n1');
    const since = performance.now();
    for (const name of ['n1', 'n2']) {
      const { worker, server } = five.node(name);
      worker.killNow();
      server.kill();
    }
    const next = await five.untilTakenOver(five.node('n1'), since);
    assert.ok(['n3', 'n4', 'n5'].includes(next.name), next.name);
    await five.assertNothingLost(next);
    five.assertNoOverlap(since);
    for (const name of ['n1', 'n2']) five.node(name).worker.start();
    await five.cluster.untilSettled(next.name);
    await five.assertNothingLost(next);
  } catch (error) {
    throw five.explain(error);
  } finally {
    await five.remove();
  }
});
