/** Two of three are gone for good: nothing happens by itself, and one command of an operator makes the last one master. New servers make it three again. */
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { keeperRole } from '../../src/testbed/cluster.js';
import { until } from '../../src/testbed/until.js';
import { pgkeeper } from '../support/command-line.js';
import { FailoverCluster, failoverTimeMs, registryOf, stepsOn } from '../support/failover-cluster.js';

describe('failover by hand', { concurrency: false }, () => {
  let three: FailoverCluster;

  before(async () => {
    three = await FailoverCluster.create({ nodes: 3, syncNames: 'ANY 1 (n1, n2, n3)' });
  });

  after(async () => {
    await three?.remove();
  });

  const step = stepsOn(() => three);
  const onLast = () => ['-d', three.node('n3').server.conninfo()];

  step('it is refused while the master lives, and says what to do instead', async () => {
    await three.untilAllVote('n1');
    const refused = await pgkeeper(['failover', 'n3', '--yes', '--accept-data-loss', ...onLast()]);
    assert.equal(refused.code, 4, refused.err);
    assert.match(refused.err, /n1 is master .* and answers/);
    assert.match(refused.err, /switchover n3/);
    const unknown = await pgkeeper(['failover', 'n9', '--yes', ...onLast()]);
    assert.equal(unknown.code, 2);
    assert.match(unknown.err, /there are n1, n2, n3/);
  });

  step('the last of three is not promoted by itself, and not without the word for the loss', async () => {
    for (const name of ['n1', 'n2']) {
      const { worker, server } = three.node(name);
      worker.killNow();
      server.kill();
    }
    await three.node('n3').worker.untilDecision('no-majority');
    await delay(2 * failoverTimeMs);
    const [row] = await three
      .node('n3')
      .server.query<{ standby: boolean }>('select pg_is_in_recovery() as standby');
    assert.equal(row?.standby, true);
    const told = await pgkeeper(['failover', 'n3', '--dry-run', '--json', ...onLast()]);
    assert.equal(told.code, 0, told.err);
    const outlook = JSON.parse(told.out);
    assert.deepEqual(outlook.gone, ['n1', 'n2']);
    assert.equal(outlook.majority_lost, true);
    assert.equal(outlook.needs_acceptance, true);
    const refused = await pgkeeper(['failover', 'n3', '--yes', ...onLast()]);
    assert.equal(refused.code, 4);
    assert.match(refused.err, /--accept-data-loss/);
    await assert.rejects(
      three.node('n3').server.query(`select pgkeeper.failover('n3')`),
      /standby, where no request can be written/,
    );
    const unconfirmed = await pgkeeper(['failover', 'n3', '--accept-data-loss', ...onLast()]);
    assert.equal(unconfirmed.code, 2);
    assert.match(unconfirmed.err, /no terminal to confirm on/);
  });

  step('with the word it is master of a cluster without the lost ones, and takes writes', async () => {
    const before = await registryOf(three.node('n3'));
    const done = await pgkeeper([
      'failover',
      'n3',
      '--accept-data-loss',
      '--yes',
      '--timeout',
      '60s',
      ...onLast(),
    ]);
    assert.equal(done.code, 0, done.err);
    assert.match(done.out, /n3 is master/);
    const { server, worker } = three.node('n3');
    const after = await registryOf(three.node('n3'));
    assert.ok(after.epoch > before.epoch);
    assert.equal(after.master, 'n3');
    const names = await server.query<{ name: string }>('select name from pgkeeper.node_info');
    assert.deepEqual(names, [{ name: 'n3' }]);
    await three.untilWriting();
    assert.ok(worker.decisions().some(({ reason }) => reason === 'operator-failover'));
    const [event] = await until('the event is written', async () => {
      const rows = await server.query<{ sentence: string }>(
        `select sentence from pgkeeper.events where code = 'operator-failover'`,
      );
      return rows.length > 0 ? rows : undefined;
    });
    assert.match(event?.sentence ?? '', /without n1, n2/);
  });

  step('a lost one that comes back and reaches it takes no writes', async () => {
    const old = three.node('n1');
    const pinned = three.pin(old);
    const wall = Date.now();
    await old.server.start();
    old.worker.start();
    await old.worker.untilDecision('removed', wall);
    await until('it is a standby again', async () => {
      const [row] = await old.server.query<{ standby: boolean }>('select pg_is_in_recovery() as standby');
      return row?.standby;
    });
    assert.equal(pinned.acknowledged.length, 0);
    await three.untilWriting();
    assert.equal((await registryOf(three.node('n3'))).master, 'n3');
  });

  step('new servers are cloned from it, registered and vote: it is a cluster of three again', async () => {
    const { server } = three.node('n3');
    for (const name of ['n4', 'n5']) {
      const { server: own, worker } = await three.addServer(name);
      const settings = [`port=${own.port}`, `unix_socket_directories=${own.folder}`, `cluster_name=${name}`];
      const cloned = await pgkeeper([
        ...['clone', '--from', server.conninfo(keeperRole), '-D', own.dataDirectory, '--name', name],
        ...['--bin-directory', own.installation.binDirectory, '--register'],
        ...settings.flatMap((one) => ['--set', one]),
      ]);
      assert.equal(cloned.code, 0, cloned.err);
      worker.start();
    }
    for (const name of ['n4', 'n5', 'n3'])
      await three.node(name).server.changeSettings({ synchronous_standby_names: 'ANY 1 (n3, n4, n5)' });
    await three.untilAllVote('n3');
    const checked = await pgkeeper(['check', ...onLast()]);
    assert.equal(checked.code, 0, checked.out);
  });

  step('and the loss of its master is no matter of hands any more', async () => {
    const old = three.node('n3');
    const since = performance.now();
    const next = await three.crash(old);
    assert.ok(['n4', 'n5'].includes(next.name), next.name);
    await three.cluster.untilSettled(next.name);
    await three.assertNothingLost(next);
    three.assertNoOverlap(since);
  });
});
