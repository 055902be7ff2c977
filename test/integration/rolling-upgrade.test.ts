/**
 * From 0.1.0 to this release in a cluster that works: old and new workers beside each other, new workers with old objects, then the
 * other objects under them. Every step with a failover.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { programVersion } from '../../src/cli/version.js';
import { migrateUp } from '../../src/postgres/migrations.js';
import type { TestNode } from '../../src/testbed/cluster.js';
import { until } from '../../src/testbed/until.js';
import { pgkeeper, program } from '../support/command-line.js';
import { FailoverCluster, stepsOn } from '../support/failover-cluster.js';
import { ReleasedProgram } from '../support/released-program.js';
import { skipLoudly } from '../support/skip.js';

const released = ReleasedProgram.build('0.1.0');

if (released === null) {
  test('a rolling upgrade', (context) =>
    skipLoudly(context, 'the history of this repository is not here, so 0.1.0 cannot be built'));
} else {
  describe('a rolling upgrade from 0.1.0', { concurrency: false }, () => {
    let three: FailoverCluster;

    before(async () => {
      three = await FailoverCluster.create({
        nodes: 3,
        syncNames: 'ANY 1 (n1, n2, n3)',
        program: released.path,
        release: released,
      });
    });

    after(async () => {
      await three?.remove();
      released.end();
    });

    const step = stepsOn(() => three);
    const older = `the installed objects have version 0.1.0, this program is ${programVersion()}`;

    async function renew(node: TestNode): Promise<void> {
      assert.equal(await node.worker.stop(), 0);
      node.worker.program = program;
      node.worker.start();
    }

    async function failOver(): Promise<TestNode> {
      const old = await three.master();
      await three.untilAllVote(old.name);
      const since = performance.now();
      const next = await three.crash(old);
      await three.cluster.untilSettled(next.name);
      await three.assertNothingLost(next);
      three.assertNoOverlap(since);
      return next;
    }

    step(
      'two new workers and an old one with old objects: the old master is replaced, and follows',
      async () => {
        const installed = await three.node('n1').server.query('select pgkeeper.version() as version');
        assert.deepEqual(installed, [{ version: '0.1.0' }]);
        await three.untilAllVote('n1');
        for (const name of ['n2', 'n3']) {
          await renew(three.node(name));
          await three.cluster.untilSettled('n1');
        }
        const next = await failOver();
        assert.notEqual(next.name, 'n1');
      },
    );

    step('new workers, and check, say that the objects are older, and how to renew them', async () => {
      const master = await three.master();
      for (const name of ['n2', 'n3']) {
        const { worker } = three.node(name);
        const text = `${older}; on the master: pgkeeper migrate; the worker goes on with them`;
        await until('the log says so', () => readFileSync(worker.logPath, 'utf8').includes(text));
      }
      const check = await pgkeeper(['check', '-d', master.server.conninfo()]);
      assert.match(
        check.out.replaceAll(/\s+/g, ' '),
        new RegExp(`${older}; the cluster is kept all the same`),
      );
      assert.equal(check.code, 0, check.out);
      const refused = await pgkeeper(['add-witness', 'w', 'host=a', '-d', master.server.conninfo()]);
      assert.equal(refused.code, 1);
      assert.match(refused.err, /older than this program/);
    });

    step('with its master lost and one worker away an old worker takes over among new ones', async () => {
      const old = await three.master();
      const [away] = three.cluster.nodes.filter(({ name }) => name !== old.name && name !== 'n1');
      assert.ok(away !== undefined && old.name !== 'n1');
      await three.untilAllVote(old.name);
      await away.worker.stop();
      const since = performance.now();
      old.worker.killNow();
      old.server.kill();
      const next = await three.untilTakenOver(old, since);
      assert.equal(next.name, 'n1', 'nobody else has a worker');
      for (const { worker } of [away, old]) worker.start();
      await three.cluster.untilSettled('n1');
      await three.assertNothingLost(next);
      three.assertNoOverlap(since);
    });

    step('the objects are renewed under the workers, old and new, and nobody loses anything', async () => {
      const master = await three.master();
      await three.untilAllVote(master.name);
      const wall = Date.now();
      const { host, port } = master.server;
      const connection = { host, port, user: 'postgres', database: 'postgres' };
      const outcomes = await Promise.all([1, 2].map(() => migrateUp({ connection })));
      assert.deepEqual(outcomes.map(({ kind }) => kind).sort(), ['done', 'nothing-to-do']);
      await three.untilWriting();
      await three.untilAllVote(master.name);
      const bad = three.cluster.nodes.flatMap(({ worker }) =>
        worker.decisions(wall).filter(({ reason }) => /lapsed|lost|claim|suspected|removed/.test(reason)),
      );
      assert.deepEqual(bad, []);
      await failOver();
    });

    step('with the last worker new everything is of one release', async () => {
      await renew(three.node('n1'));
      const master = await three.master();
      await three.untilAllVote(master.name);
      const next = await failOver();
      await three.untilAllVote(next.name);
      const check = await pgkeeper(['check', '-d', next.server.conninfo()]);
      assert.equal(check.code, 0, check.out);
      assert.match(check.out, new RegExp(`objects of version ${programVersion()}`));
      assert.doesNotMatch(check.out, /this program is/);
      const [row] = await next.server.query<{ seen: number }>(
        'select count(*)::int as seen from pgkeeper.repl_status',
        [],
        'pgkeeper',
      );
      assert.equal(row?.seen, 3, 'the workers’ role may use what is new');
    });
  });
}
