/**
 * What the workers did not do and must cope with: a server that somebody promoted by hand, a second failover while a node is on its
 * way back, a node that is removed while it is out of reach and comes back later.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe } from 'node:test';
import { keeperRole, type TestNode } from '../../src/testbed/cluster.js';
import { until } from '../../src/testbed/until.js';
import { auditWrites, Writer } from '../../src/testbed/writer.js';
import { pgkeeper } from '../support/command-line.js';
import {
  everything,
  FailoverCluster,
  installation,
  isStreaming,
  registryOf,
  stepsOn,
  syncModes,
} from '../support/failover-cluster.js';
import { startKilled } from '../support/start-killed.js';

const counts = existsSync(join(installation.binDirectory, 'pg_waldump'));

for (const [title, syncNames] of syncModes.slice(0, everything ? 2 : 1)) {
  describe(`behind the back of the workers, ${title}`, { concurrency: false }, () => {
    let three: FailoverCluster;

    before(async () => {
      three = await FailoverCluster.create({ nodes: 3, syncNames });
    });

    after(async () => {
      await three.remove();
    });

    const step = stepsOn(() => three);
    let lostBefore: readonly number[] = [];
    const isStandby = async ({ server }: TestNode) => {
      const [row] = await server.query<{ standby: boolean }>('select pg_is_in_recovery() as standby');
      return row?.standby === true;
    };

    async function masterAndStandby(): Promise<{ master: TestNode; standby: TestNode }> {
      const master = await three.master();
      await three.untilAllVote(master.name);
      const standby = three.cluster.nodes.find(({ name }) => name !== master.name);
      assert.ok(standby !== undefined);
      return { master, standby };
    }

    async function masterPlaceKept(master: TestNode, epoch: number, since: number): Promise<void> {
      await three.untilAllVote(master.name);
      assert.equal((await three.master()).name, master.name);
      assert.equal((await registryOf(master)).epoch, epoch, 'it was no reason for an election');
      assert.ok(three.writer.acknowledged.every(({ at, server }) => at < since || server === master.name));
    }

    /** With sync nothing; without it what only a killed master had, each commit of it set aside by its worker since `wall`. */
    async function assertLossTold(master: TestNode, wall: number): Promise<void> {
      const { lost } = await auditWrites([three.writer], master.server);
      const more = lost.filter((id) => !lostBefore.includes(id));
      lostBefore = lost;
      if (more.length === 0) return;
      assert.equal(syncNames, '', `with sync these are lost: ${more.join(' ')}`);
      const told = three.cluster.nodes
        .flatMap(({ worker }) => worker.decisions(wall))
        .filter(({ reason }) => reason === 'wal-set-aside');
      assert.ok(told.length > 0, `lost, and nobody told: ${more.join(' ')}`);
      const commits = told.reduce((sum, { fields }) => sum + Number(fields['commits']), 0);
      if (counts) assert.ok(more.length <= commits, `${commits} commits told, lost: ${more.join(' ')}`);
    }

    step('a standby that somebody promotes is a standby of the master again, which goes on', async () => {
      const { master, standby } = await masterAndStandby();
      const { epoch } = await registryOf(master);
      const misled = new Writer({ servers: [standby.server], number: 9, pauseMs: 5 });
      const wall = Date.now();
      const since = performance.now();
      misled.start();
      try {
        // Without waiting for it: its worker may end the server, and this session with it, before the answer.
        await standby.server.query('select pg_promote(false)');
        await standby.worker.untilDecision('rejoined', wall, 60_000);
        await masterPlaceKept(master, epoch, since);
      } finally {
        await misled.stop();
      }
      assert.ok(await isStandby(standby));
      if (syncNames !== '') {
        assert.deepEqual(misled.acknowledged, [], 'the promoted one acknowledged nothing');
      } else if (misled.acknowledged.length > 0) {
        // Nothing holds commits there: what it took before its worker ended it is kept, and told.
        const aside = standby.worker.decisions(wall).find(({ reason }) => reason === 'wal-set-aside');
        assert.ok(aside !== undefined, 'what the promoted one took is set aside');
        if (counts) assert.ok(Number(aside.fields['commits']) >= misled.acknowledged.length);
      }
      await three.assertNothingLost(master);
    });

    step('the same while its worker is away', async () => {
      const { master, standby } = await masterAndStandby();
      const { epoch } = await registryOf(master);
      await standby.worker.kill();
      const since = performance.now();
      const wall = Date.now();
      await standby.server.query('select pg_promote(true)');
      await until('it takes writes', async () => !(await isStandby(standby)));
      standby.worker.start();
      await standby.worker.untilDecision('rejoined', wall, 60_000);
      await masterPlaceKept(master, epoch, since);
      assert.ok(await isStandby(standby));
      await three.assertNothingLost(master);
    });

    step('a master that dies while the old one is on its way back to it', async () => {
      const { master: first } = await masterAndStandby();
      await three.untilFollowedAtOnce(first);
      const wall = Date.now();
      const since = performance.now();
      first.server.kill();
      const second = await three.untilTakenOver(first, since);
      await first.worker.untilDecision('rejoin-started', wall, 60_000);
      second.server.kill();
      await three.untilWriting();
      const third = await three.master();
      await three.untilAllVote(third.name);
      await assertLossTold(third, wall);
      for (const node of three.cluster.nodes)
        if (node.name !== third.name) assert.ok(await isStandby(node), node.name);
    });

    step('a node that is removed while nobody reaches it stays out when it comes back', async () => {
      const { master, standby } = await masterAndStandby();
      await standby.worker.kill();
      standby.server.kill();
      await three.untilWriting();
      const removed = await pgkeeper(['del-node', standby.name, '-d', master.server.conninfo()]);
      assert.equal(removed.code, 0, removed.err);
      const row = await until('it is no voter any more', async () => {
        const [found] = await master.server.query<{ voters: number; members: readonly string[] }>(
          'select jsonb_array_length(voters) as voters, sync_members as members from pgkeeper.cluster_state',
        );
        return found?.voters === 2 ? found : null;
      });
      assert.ok(!row.members.includes(standby.name), 'nor is it waited for');
      const { epoch } = await registryOf(master);
      const since = performance.now();
      await startKilled(standby.server);
      const wall = Date.now();
      standby.worker.start();
      const told = await until('its worker says why it does nothing', () =>
        standby.worker
          .decisions(wall)
          .find(({ reason }) => reason === 'removed' || reason === 'not-registered'),
      );
      assert.match(told.msg, /regist/);
      assert.ok(await isStandby(standby), 'its server runs on');
      // It may have streamed by a slot that went with the node; then its worker gives that name up first.
      await until('it streams', () => isStreaming(standby));
      await three.untilWriting();
      const added = await pgkeeper([
        'add-node',
        standby.name,
        standby.server.conninfo(keeperRole),
        '-d',
        master.server.conninfo(),
      ]);
      assert.equal(added.code, 0, added.err);
      await masterPlaceKept(master, epoch, since);
      await assertLossTold(master, Date.now());
    });
  });
}
