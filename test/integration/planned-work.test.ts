/** Pause, maintenance, priority and the commands for them on real servers: what they change, what they refuse, that a paused cluster promotes nobody. */
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { TestNode } from '../../src/testbed/cluster.js';
import { until } from '../../src/testbed/until.js';
import { pgkeeper } from '../support/command-line.js';
import { FailoverCluster, failoverTimeMs, registryOf, stepsOn } from '../support/failover-cluster.js';

async function versionOf(node: TestNode): Promise<string | undefined> {
  const [row] = await node.server.query<{ version: string }>('select version from pgkeeper.cluster_state');
  return row?.version;
}

describe('planned work on three servers', { concurrency: false }, () => {
  let three: FailoverCluster;

  before(async () => {
    three = await FailoverCluster.create({ nodes: 3, syncNames: 'ANY 1 (n1, n2, n3)' });
    await three.untilStreamingBySlot();
  });

  after(async () => {
    await three.remove();
  });

  const step = stepsOn(() => three);
  const run = (node: TestNode, ...args: string[]) => pgkeeper([...args, '-d', node.server.conninfo()]);
  const standbysOf = (master: TestNode) => three.cluster.nodes.filter(({ name }) => name !== master.name);

  step('wrong input is refused with the way out, and nothing is stored', async () => {
    const master = await three.master();
    const before = await versionOf(master);
    const [standby] = standbysOf(master);
    assert.ok(standby !== undefined);
    const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
      [['switchover', 'n9'], 2, /no node is registered as "n9"[\s\S]*The nodes are: n1, n2, n3/],
      [['switchover', standby.name, '--timeout', 'soon'], 2, /--timeout/],
      [['maintenance', master.name, 'on'], 4, /is the master[\s\S]*switchover/],
      [['maintenance', standby.name, 'maybe'], 2, /"on" or "off"/],
      [['priority', standby.name, '-1'], 2, /priority|unknown option/],
      [['priority', standby.name, 'high'], 2, /a number from 0 on/],
    ];
    for (const [args, code, text] of cases) {
      const outcome = await run(master, ...args);
      assert.match(outcome.err, text, args.join(' '));
      assert.equal(outcome.code, code, args.join(' '));
    }
    const onStandby = await run(standby, 'pause');
    assert.equal(onStandby.code, 4);
    assert.match(onStandby.err, new RegExp(`run this on the master, which is "${master.name}"`));
    await assert.rejects(
      master.server.query('select pgkeeper.failover($1)', [master.name]),
      /is the master already, and takes writes/,
    );
    const after = await versionOf(master);
    assert.equal(after, before);
    const [requests] = await master.server.query<{ count: number }>(
      'select count(*)::int from pgkeeper.requests',
    );
    assert.equal(requests?.count, 0);
  });

  step(
    'a dry run prints every check and changes nothing; the command itself waits for the new master',
    async () => {
      const master = await three.master();
      await three.untilAllVote(master.name);
      const [target] = standbysOf(master);
      assert.ok(target !== undefined);
      const before = await versionOf(master);
      const rehearsal = await run(master, 'switchover', target.name, '--dry-run');
      assert.equal(rehearsal.code, 0, rehearsal.out + rehearsal.err);
      assert.match(rehearsal.out, new RegExp(`would hand over to ${target.name}`));
      assert.doesNotMatch(rehearsal.out, /^NOT/m);
      assert.equal(await versionOf(master), before);
      const done = await run(master, 'switchover', target.name, '--json');
      assert.equal(done.code, 0, done.err);
      const told = JSON.parse(done.out);
      assert.equal(told.state, 'done');
      assert.deepEqual(told.former_master, { name: master.name, back: true });
      assert.match(done.err, new RegExp(`${master.name} is back as a standby after`));
      const next = await run(master, 'status');
      assert.equal(next.code, 0, `the next command on the former master: ${next.err}`);
      assert.equal((await three.master()).name, target.name);
      await three.cluster.untilSettled(target.name);
      await three.assertNothingLost(target);
    },
  );

  step('a node in maintenance is no candidate and no next master; the last candidate is kept', async () => {
    const master = await three.master();
    await three.untilAllVote(master.name);
    const [one, other] = standbysOf(master);
    assert.ok(one !== undefined && other !== undefined);
    const begun = await run(master, 'maintenance', one.name, 'on');
    assert.equal(begun.code, 0);
    assert.doesNotMatch(begun.err, /warning/, 'every vote is held');
    const last = await run(master, 'maintenance', other.name, 'on');
    assert.equal(last.code, 4);
    assert.match(
      last.err,
      /the last node that could replace the master[\s\S]*End the maintenance of another[\s\S]* on --accept-no-candidate/,
    );
    await until('the next master is the other one', async () => {
      const [row] = await master.server.query<{ name: string }>(
        'select name from pgkeeper.node_info where is_nextmaster',
      );
      return row?.name === other.name;
    });
    const refused = await run(master, 'switchover', one.name);
    assert.equal(refused.code, 4, refused.out + refused.err);
    assert.match(refused.err, /is in maintenance/);
    const wall = Date.now();
    await one.server.stop();
    await one.worker.untilDecision('server-lost', wall);
    await one.server.start();
    await until('it says so, and votes again', async () => {
      const { out } = await run(master, 'status', '--json');
      const shown = JSON.parse(out) as {
        quorum: { held: number };
        nodes: readonly { name: string; state: string }[];
      };
      const { state } = shown.nodes.find(({ name }) => name === one.name) ?? {};
      return state === 'maintenance' && shown.quorum.held === 3;
    });
    const next = await three.crash(master);
    assert.equal(next.name, other.name, 'not the one in maintenance');
    assert.equal((await run(next, 'maintenance', one.name, 'off')).code, 0);
    await three.cluster.untilSettled(next.name);
    await three.assertNothingLost(next);
  });

  step(
    'a paused cluster promotes nobody; a named switchover works; resume on a standby lets it go on',
    async () => {
      const master = await three.master();
      await three.untilAllVote(master.name);
      const [target] = standbysOf(master);
      assert.ok(target !== undefined);
      const paused = await run(master, 'pause');
      assert.equal(paused.code, 0, paused.err);
      const status = await run(master, 'status');
      assert.match(status.out, /the cluster is paused/);
      assert.equal((await run(master, 'check')).code, 1);
      assert.equal((await run(master, 'switchover')).code, 4, 'nobody is chosen in a pause');
      assert.equal((await run(master, 'switchover', target.name)).code, 0);
      await three.cluster.untilSettled(target.name);
      await three.untilAllVote(target.name);
      const epoch = (await registryOf(target)).epoch;
      const since = performance.now();
      target.worker.freeze();
      target.server.freeze();
      await delay(2 * failoverTimeMs);
      assert.equal(three.writer.firstSince(since, target.name), null, 'nobody else took writes');
      const [witness] = standbysOf(target);
      assert.ok(witness !== undefined);
      assert.equal((await registryOf(witness)).epoch, epoch);
      const resumed = await run(witness, 'resume');
      assert.equal(resumed.code, 0, resumed.err);
      const next = await three.untilTakenOver(target, since);
      target.server.thaw();
      target.worker.thaw();
      await three.cluster.untilSettled(next.name);
      assert.doesNotMatch((await run(next, 'status')).out, /paused/);
      await three.assertNothingLost(next);
    },
  );

  step('a paused master that loses its lease goes on; after resume the normal rules are back', async () => {
    const master = await three.master();
    await three.untilAllVote(master.name);
    const before = await registryOf(master);
    assert.equal((await run(master, 'pause')).code, 0);
    const wall = Date.now();
    for (const standby of standbysOf(master)) {
      standby.worker.freeze();
      standby.server.freeze();
    }
    await master.worker.untilDecision('lease-lapsed-paused', wall);
    await delay(2 * failoverTimeMs);
    const [role] = await master.server.query<{ standby: boolean }>('select pg_is_in_recovery() as standby');
    assert.equal(role?.standby, false, 'it was not fenced');
    for (const standby of standbysOf(master)) {
      standby.server.thaw();
      standby.worker.thaw();
    }
    await three.untilAllVote(master.name);
    const resumed = await run(master, 'resume');
    assert.equal(resumed.code, 0, resumed.err);
    await three.untilWriting();
    await three.cluster.untilSettled(master.name);
    assert.ok((await registryOf(master)).epoch >= before.epoch);
    await three.assertNothingLost(master);
  });
});
