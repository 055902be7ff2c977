/** A host that boots: systemd starts its server before its worker, and `pgkeeper fence-after-boot` before both. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe } from 'node:test';
import type { TestNode } from '../../src/testbed/cluster.js';
import { until } from '../../src/testbed/until.js';
import { pgkeeper } from '../support/command-line.js';
import { FailoverCluster, stepsOn } from '../support/failover-cluster.js';
import { losePower } from '../support/guards.js';
import { startKilled } from '../support/start-killed.js';

const isLinux = process.platform === 'linux';

const bootFile = ({ server }: TestNode) => join(server.dataDirectory, 'pgkeeper.boot');

/** As if what its worker wrote were of the boot before this one. */
function anotherBoot(node: TestNode): void {
  const kept = JSON.parse(readFileSync(bootFile(node), 'utf8')) as { readonly boot: string };
  assert.ok(kept.boot, 'its worker has left word of this boot');
  writeFileSync(bootFile(node), JSON.stringify({ ...kept, boot: 'the one before' }));
}

describe('pgkeeper fence-after-boot', {
  concurrency: false,
  skip: isLinux ? false : 'it needs Linux',
}, () => {
  let three: FailoverCluster;

  before(async () => {
    three = await FailoverCluster.create({ nodes: 3, syncNames: '' });
  });

  after(async () => {
    await three.remove();
  });

  const step = stepsOn(() => three);

  /** What the unit of the server does at boot. */
  async function boot(node: TestNode): Promise<string> {
    await until('no process of it is left', () => !node.server.isRunning());
    const fenced = await pgkeeper(['fence-after-boot', '-D', node.server.dataDirectory]);
    assert.equal(fenced.code, 0, fenced.err);
    await startKilled(node.server);
    return fenced.err;
  }

  step(
    'a master that lost power is a standby from its first moment, and comes back behind the new one',
    async () => {
      const old = await three.master();
      await three.untilAllVote(old.name);
      await three.untilFollowedAtOnce(old);
      const since = performance.now();
      await losePower(old);
      const next = await three.untilTakenOver(old, since);
      const pinned = three.pin(old);
      anotherBoot(old);
      assert.match(await boot(old), /starts as a standby/);
      const [row] = await old.server.query<{ standby: boolean }>('select pg_is_in_recovery() as standby');
      assert.equal(row?.standby, true, 'nothing is acknowledged before its worker runs');
      old.worker.start();
      await three.cluster.untilSettled(next.name);
      assert.deepEqual(pinned.acknowledged, []);
    },
  );

  step('all hosts boot, and one of them is master again with everything', async () => {
    const master = await three.master();
    await three.untilAllVote(master.name);
    await three.writer.stop();
    const { acknowledged } = three.writer;
    assert.ok(acknowledged.length > 0);
    await Promise.all(three.cluster.nodes.map(losePower));
    for (const node of three.cluster.nodes) {
      anotherBoot(node);
      await boot(node);
    }
    for (const { worker } of three.cluster.nodes) worker.start();
    const again = await until('one is master', () => three.cluster.master(), 60_000);
    assert.equal(again.name, master.name, 'it has the newest data');
    await three.cluster.untilSettled(again.name);
    await three.assertNothingLost(again);
  });

  step('in the boot in which its worker ran a server starts as it was', async () => {
    const master = await three.master();
    const { server, worker } = master;
    await three.untilAllVote(master.name);
    await worker.kill();
    await server.stop();
    assert.match(
      await boot(master),
      /nothing to do: its worker has kept this server since the host was started/,
    );
    const [row] = await server.query<{ standby: boolean }>('select pg_is_in_recovery() as standby');
    assert.equal(row?.standby, false);
    worker.start();
    await until('somebody is master', () => three.cluster.master(), 60_000);
  });

  step(
    'a standby is left as it is, so is a node in maintenance, and a wrong directory is refused',
    async () => {
      const master = await three.master();
      await three.untilAllVote(master.name);
      const standby = three.cluster.nodes.find(({ name }) => name !== master.name) as TestNode;
      anotherBoot(standby);
      const told = await pgkeeper(['fence-after-boot', '-D', standby.server.dataDirectory]);
      assert.match(told.err, /nothing to do: standby\.signal is there/);
      await pgkeeper(['maintenance', standby.name, 'on', '-d', master.server.conninfo()]);
      await until('its worker has taken its word back', () => !existsSync(bootFile(standby)));
      const wrong = await pgkeeper(['fence-after-boot', '-D', three.cluster.folder]);
      assert.equal(wrong.code, 2);
      assert.match(wrong.err, /is not a data directory of PostgreSQL/);
    },
  );
});
