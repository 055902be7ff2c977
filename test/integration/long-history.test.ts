/** A cluster that has changed its master again and again: many timelines behind it, and nodes that were master and standby by turns. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { until } from '../../src/testbed/until.js';
import { pgkeeper } from '../support/command-line.js';
import { FailoverCluster, registryOf } from '../support/failover-cluster.js';

const changes = 12;

test('after twelve switchovers in a row a crashed master is replaced, and comes back, as after the first', async () => {
  // A server votes once it is older than lease_ttl: with a short one the next switchover can be sooner.
  const three = await FailoverCluster.create({
    nodes: 3,
    syncNames: 'ANY 1 (n1, n2, n3)',
    settings: { 'pg_keeper.lease_ttl': '1s' },
  });
  try {
    const { epoch } = await registryOf(await three.master());
    let done = 0;
    await until(
      'the last switchover is done',
      async () => {
        const master = await three.master();
        const names = three.cluster.nodes.map(({ name }) => name);
        const target = names[(names.indexOf(master.name) + 1) % names.length] ?? '';
        const { code, err } = await pgkeeper(['switchover', target, '-d', master.server.conninfo()]);
        // Refused while the server that was master before is too young to vote.
        if (code !== 0) throw new Error(err);
        await three.untilWriting();
        done += 1;
        return done === changes;
      },
      180_000,
      250,
    );
    const old = await three.master();
    assert.ok((await registryOf(old)).epoch >= epoch + changes);
    await three.untilAllVote(old.name);
    const struck = performance.now();
    old.worker.killNow();
    old.server.kill();
    const next = await three.untilTakenOver(old, struck);
    old.worker.start();
    await three.untilAllVote(next.name);
    await three.assertNothingLost(next);
    three.assertNoOverlap(struck);
    const [row] = await next.server.query<{ timeline: string }>(
      'select left(pg_walfile_name(pg_current_wal_lsn()), 8) as timeline',
    );
    const file = `${row?.timeline}.history`;
    for (const { name, server } of three.cluster.nodes) {
      const history = readFileSync(join(server.dataDirectory, 'pg_wal', file), 'utf8');
      const lines = history.split('\n').filter((line) => line.trim() !== '');
      assert.ok(lines.length > changes, `${name} has ${lines.length} timelines behind it`);
    }
  } catch (error) {
    throw three.explain(error);
  } finally {
    await three.remove();
  }
});
