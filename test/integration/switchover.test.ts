/** Moving the master on purpose, on real servers with a client that writes all the time: nothing is lost, and one master is left whatever fails. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe } from 'node:test';
import type { TestNode } from '../../src/testbed/cluster.js';
import { until } from '../../src/testbed/until.js';
import {
  everything,
  FailoverCluster,
  installation,
  isStreaming,
  registryOf,
  stepsOn,
  syncModes,
} from '../support/failover-cluster.js';
import { requestOf, untilFinished } from '../support/requests.js';

const hasRewind = existsSync(join(installation.binDirectory, 'pg_rewind'));

async function ask(node: TestNode, target: string | null): Promise<number> {
  const [row] = await node.server.query<{ id: string }>('select pgkeeper.switchover($1) as id', [target]);
  return Number(row?.id);
}

for (const [title, syncNames] of syncModes) {
  describe(`switchover of three servers ${title}`, { concurrency: false }, () => {
    let three: FailoverCluster;

    before(async () => {
      three = await FailoverCluster.create({ nodes: 3, syncNames });
      await three.untilStreamingBySlot();
    });

    after(async () => {
      await three.remove();
    });

    const step = stepsOn(() => three);

    step('the named node becomes master, the old one follows it, no acknowledged row is lost', async () => {
      const old = await three.master();
      await three.untilAllVote(old.name);
      const target = three.cluster.nodes.find(({ name }) => name !== old.name) as TestNode;
      const pinned = three.pin(old);
      await until('the pinned client writes', () => pinned.acknowledged.length > 5);
      const before = await registryOf(old);
      const since = performance.now();
      const id = await ask(old, target.name);
      const next = await three.untilTakenOver(old, since);
      assert.equal(next.name, target.name);
      await three.cluster.untilSettled(target.name);
      const request = await untilFinished(target, id);
      assert.equal(request.state, 'done', request.reason);
      assert.ok((await registryOf(target)).epoch > before.epoch);
      three.assertNoOverlap(since, pinned);
      await three.assertNothingLost(target);
      const kept = old.worker
        .decisions()
        .filter(({ reason }) => reason === 'rejoined')
        .at(-1);
      // Without pg_rewind nobody can tell, and the data are copied.
      const told = hasRewind ? /nothing to rewind/ : /fresh copy/;
      assert.match(kept?.msg ?? '', told, 'a clean handover leaves no histories that part');
    });

    if (syncNames === '' && !everything) return;

    step('a target that is killed as the master stops: the old master takes its place again', async () => {
      const old = await three.master();
      await three.untilAllVote(old.name);
      const target = three.cluster.nodes.find(({ name }) => name !== old.name) as TestNode;
      const pinned = three.pin(old);
      await until('the pinned client writes', () => pinned.acknowledged.length > 5);
      const wall = Date.now();
      const since = performance.now();
      const id = await ask(old, target.name);
      await old.worker.untilDecision('handing-over', wall);
      target.worker.freeze();
      target.server.freeze();
      await until('whoever starts the old one now, a supervisor or a boot, gets a standby', () =>
        existsSync(join(old.server.dataDirectory, 'standby.signal')),
      );
      await three.untilWriting();
      const next = await three.master();
      assert.notEqual(next.name, target.name, 'a frozen server is no master');
      const request = await untilFinished(next, id);
      assert.equal(request.state, 'failed');
      assert.notEqual(request.reason, '');
      target.server.thaw();
      target.worker.thaw();
      await three.cluster.untilSettled((await three.master()).name);
      three.assertNoOverlap(since, pinned);
      await three.assertNothingLost(await three.master());
    });

    step('a target whose server dies after it was given the votes: somebody else is master', async () => {
      const old = await three.master();
      await three.untilAllVote(old.name);
      const target = three.cluster.nodes.find(({ name }) => name !== old.name) as TestNode;
      const wall = Date.now();
      const id = await ask(old, target.name);
      await old.worker.untilDecision('handed-over', wall);
      target.server.kill();
      await three.untilWriting();
      const next = await three.master();
      await three.cluster.untilSettled(next.name);
      const request = await untilFinished(next, id);
      assert.match(request.state, /^(done|failed)$/);
      await three.assertNothingLost(next);
    });

    step('an unfit target is refused, and nothing changes', async () => {
      const old = await three.master();
      await three.untilAllVote(old.name);
      const target = three.cluster.nodes.find(({ name }) => name !== old.name) as TestNode;
      const before = await registryOf(old);
      await old.server.query('select pgkeeper.set_priority($1, 0)', [target.name]);
      const request = await untilFinished(old, await ask(old, target.name));
      assert.equal(request.state, 'refused');
      assert.match(request.reason, /priority of n\d is 0/);
      await old.server.query('select pgkeeper.set_priority($1, null)', [target.name]);
      assert.equal((await registryOf(old)).epoch, before.epoch);
      assert.equal((await three.master()).name, old.name);
    });

    step('with too few votes without the master it is refused', async () => {
      const old = await three.master();
      const [target, other] = three.cluster.nodes.filter(({ name }) => name !== old.name);
      assert.ok(target !== undefined && other !== undefined);
      await three.untilAllVote(old.name);
      const wall = Date.now();
      await other.server.stop();
      await old.worker.untilDecision('node-lost', wall);
      const request = await untilFinished(old, await ask(old, target.name));
      assert.equal(request.state, 'refused');
      assert.match(request.reason, /only 1 of 3 votes are there, 2 are needed/);
      assert.equal((await requestOf(old, 0)) === null, true);
      await other.server.start();
      await three.cluster.untilSettled(old.name);
      await three.assertNothingLost(old);
    });

    step('a worker that stops with --handover beside a standby changes nothing', async () => {
      const old = await three.master();
      const standby = three.cluster.nodes.find(({ name }) => name !== old.name) as TestNode;
      const { epoch } = await registryOf(old);
      await standby.worker.stop();
      standby.worker.start(['--handover']);
      await three.untilAllVote(old.name);
      assert.equal(await standby.worker.stop(), 0);
      assert.equal((await registryOf(old)).epoch, epoch);
      standby.worker.start();
      await three.untilAllVote(old.name);
    });

    step('beside the master it makes another node master first, and its own server a standby', async () => {
      const old = await three.master();
      await old.worker.stop();
      old.worker.start(['--handover']);
      await three.untilAllVote(old.name);
      const pinned = three.pin(old);
      await until('the pinned client writes', () => pinned.acknowledged.length > 5);
      const since = performance.now();
      assert.equal(await old.worker.stop(), 0);
      const next = await three.master();
      assert.notEqual(next.name, old.name);
      await three.untilWriting();
      assert.equal(
        await isStreaming(old),
        true,
        'the server that the worker leaves behind follows the next master',
      );
      three.assertNoOverlap(since, pinned);
      await three.assertNothingLost(next);
      old.worker.start();
      await three.untilAllVote(next.name);
    });

    step('told to stop while a switchover is under way, it stops when that is over', async () => {
      const old = await three.master();
      const target = three.cluster.nodes.find(({ name }) => name !== old.name) as TestNode;
      await old.worker.stop();
      old.worker.start(['--handover']);
      await three.untilAllVote(old.name);
      const wall = Date.now();
      const id = await ask(old, target.name);
      await old.worker.untilDecision('switchover-started', wall);
      assert.equal(await old.worker.stop(), 0);
      const request = await untilFinished(target, id);
      assert.equal(request.state, 'done', request.reason);
      assert.equal(await isStreaming(old), true);
      await three.assertNothingLost(target);
      old.worker.start();
      await three.untilAllVote(target.name);
    });
  });
}
