/** Data outside the data directory, in another place on every node, as `clone --tablespace-mapping` leaves it: a rewind and a copy keep to it. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { keeperRole, type TestNode } from '../../src/testbed/cluster.js';
import { freshFolder } from '../../src/testbed/owned-folder.js';
import { pgkeeper } from '../support/command-line.js';
import { deposedMaster } from '../support/deposed-master.js';
import { FailoverCluster, installation, stepsOn } from '../support/failover-cluster.js';
import { skipLoudly } from '../support/skip.js';

const missing = ['pg_basebackup', 'pg_rewind'].filter(
  (name) => !existsSync(join(installation.binDirectory, name)),
);
const why = missing.length === 0 ? null : `without ${missing.join(' and ')} there are no tablespaces`;

test('tablespaces can be rewound here', (context) => {
  if (why !== null) skipLoudly(context, why);
});

describe('a tablespace', { concurrency: false, skip: why ?? false }, () => {
  let three: FailoverCluster;

  before(async () => {
    three = await FailoverCluster.create({
      nodes: 3,
      syncNames: 'ANY 1 (n1, n2, n3)',
      tablespace: 'elsewhere',
    });
    await three
      .node('n1')
      .server.query(
        'create table ballast tablespace elsewhere as select g, repeat(md5(g::text), 20) t from generate_series(1, 20000) g',
      );
  });

  after(async () => {
    await three.remove();
  });

  const step = stepsOn(() => three);

  function linksOf({ server }: TestNode): readonly string[] {
    const links = join(server.dataDirectory, 'pg_tblspc');
    return readdirSync(links).map((name) => readlinkSync(join(links, name)));
  }

  async function contentOf({ server }: TestNode): Promise<unknown> {
    const sql = `select count(*), sum(hashtext(t)::bigint), count(*) filter (where t = 'new') as new from ballast`;
    return (await server.query(sql))[0];
  }

  /** It streams, has what the master has, and has it in its own place. */
  async function assertWhole(node: TestNode, master: TestNode): Promise<void> {
    await three.untilAllVote(master.name);
    assert.deepEqual(linksOf(node), [join(node.server.folder, 'elsewhere')]);
    assert.deepEqual(await contentOf(node), await contentOf(master));
    await three.assertNothingLost(master);
  }

  step('of a former master is rewound where it is; one that only it had is gone', async () => {
    const { old, next } = await deposedMaster(three, async (client) => {
      await client.query(`update ballast set t = 'old' where g % 3 = 0`);
      const place = freshFolder(three.cluster.folder, 'only-there');
      await client.query(`create tablespace only_there location '${place}'`);
      await client.query('create table only_there tablespace only_there as select 1 as g');
      await client.query('checkpoint');
    });
    assert.equal(linksOf(old).length, 2);
    await next.server.query(`update ballast set t = 'new' where g % 5 = 0`);
    const wall = Date.now();
    old.worker.start();
    const { msg, fields } = await old.worker.untilDecision('rejoined', wall, 60_000);
    assert.match(`${msg} ${JSON.stringify(fields)}`, /rewound with pg_rewind/);
    await assertWhole(old, next);
  });

  step('of a copy that replaces a node stays where that node had it', async () => {
    const master = await three.master();
    const [node] = three.cluster.nodes.filter(({ name }) => name !== master.name);
    assert.ok(node !== undefined);
    await node.worker.stop();
    await node.server.stop();
    const { server } = node;
    const own = ['-D', server.dataDirectory, '-d', server.conninfo(keeperRole)];
    const copied = await pgkeeper(['rejoin', ...own, '--copy', '--bin-directory', installation.binDirectory]);
    assert.equal(copied.code, 0, copied.err);
    node.worker.start();
    await assertWhole(node, master);
  });
});
