/** Hosts that cannot reach each other: one network namespace a server, cuts that nobody answers. */
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { until } from '../../src/testbed/until.js';
import { FailoverCluster, failoverTimeMs, stepsOn } from '../support/failover-cluster.js';
import { Hosts, whyNoHosts } from '../support/hosts.js';

const why = whyNoHosts();
if (why !== null) process.stderr.write(`!! NOT TESTED: partitions: ${why}\n`);
const skip = why ?? false;

describe('partitions of three hosts', { concurrency: false, skip }, () => {
  const hosts = new Hosts(['n1', 'n2', 'n3']);
  let three: FailoverCluster;

  before(async () => {
    hosts.create();
    three = await FailoverCluster.create({
      nodes: 3,
      syncNames: 'ANY 1 (n1, n2, n3)',
      placeOf: (name) => hosts.placeOf(name),
    });
  });

  after(async () => {
    await three?.remove();
    hosts.remove();
  });

  const step = stepsOn(
    () => three,
    () => hosts.heal(),
  );

  step('a link cut between the master and one standby only is no failure of the master', async () => {
    const master = await three.master();
    await three.untilAllVote(master.name);
    const [blind] = three.cluster.nodes.filter(({ name }) => name !== master.name);
    assert.ok(blind !== undefined);
    const wall = Date.now();
    hosts.cut(master.name, blind.name);
    await blind.worker.untilDecision('master-suspected', wall);
    await blind.worker.untilDecision('master-seen-by-peer', wall);
    await delay(failoverTimeMs + 1000);
    await three.untilWriting();
    assert.equal((await three.master()).name, master.name);
    for (const { worker } of three.cluster.nodes)
      assert.deepEqual(
        worker.decisions(wall).filter(({ reason }) => reason === 'promoting'),
        [],
      );
    hosts.heal();
    await three.cluster.untilSettled(master.name);
    await three.assertNothingLost(master);
  });

  step(
    'a master cut off from all others is replaced, and acknowledges nothing more to the client beside it',
    async () => {
      const old = await three.master();
      await three.untilAllVote(old.name);
      // Reaches the old master throughout, as a client on its host would.
      const pinned = three.pin(old);
      await until('the pinned client writes', () => pinned.acknowledged.length > 5);
      const since = performance.now();
      const wall = Date.now();
      hosts.isolate(old.name);
      const others = three.cluster.nodes.filter(({ name }) => name !== old.name);
      const next = await until(
        'one of the others is master',
        () =>
          others.find(({ worker }) => worker.decisions(wall).some(({ reason }) => reason === 'master-ready')),
        60_000,
      );
      const beside = three.pin(next);
      await until('the other side writes', () => beside.acknowledged.length > 5);
      await old.worker.untilDecision('server-retired', wall);
      three.assertNoOverlap(since, pinned, beside);
      hosts.heal();
      await three.cluster.untilSettled(next.name);
      await three.assertNothingLost(next);
    },
  );

  step('a one-way cut from the master to all others ends the same way', async () => {
    const old = await three.master();
    await three.untilAllVote(old.name);
    const pinned = three.pin(old);
    const since = performance.now();
    const wall = Date.now();
    const others = three.cluster.nodes.filter(({ name }) => name !== old.name);
    for (const { name } of others) hosts.cutOneWay(old.name, name);
    const next = await until(
      'one of the others is master',
      () =>
        others.find(({ worker }) => worker.decisions(wall).some(({ reason }) => reason === 'master-ready')),
      60_000,
    );
    const beside = three.pin(next);
    await until('the other side writes', () => beside.acknowledged.length > 5);
    three.assertNoOverlap(since, pinned, beside);
    hosts.heal();
    await three.cluster.untilSettled(next.name);
    await three.assertNothingLost(next);
  });

  step('an isolated standby does not promote itself, and streams again when it is back', async () => {
    const master = await three.master();
    await three.untilAllVote(master.name);
    const [alone] = three.cluster.nodes.filter(({ name }) => name !== master.name);
    assert.ok(alone !== undefined);
    const wall = Date.now();
    hosts.isolate(alone.name);
    await alone.worker.untilDecision('no-majority', wall);
    await three.untilWriting();
    assert.equal((await three.master()).name, master.name);
    assert.deepEqual(
      alone.worker.decisions(wall).filter(({ reason }) => reason === 'promoting'),
      [],
    );
    hosts.heal();
    await three.cluster.untilSettled(master.name);
    await three.assertNothingLost(master);
  });
});
