/** Two nodes and nobody else, on real servers: what quorum = auto does and says of itself, and what strict refuses to do. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { TestNode } from '../../src/testbed/cluster.js';
import { until } from '../../src/testbed/until.js';
import { pgkeeper } from '../support/command-line.js';
import {
  FailoverCluster,
  failoverTimeMs,
  keepaliveMs,
  registryOf,
  stepsOn,
} from '../support/failover-cluster.js';
import { losePower } from '../support/guards.js';

const syncNames = 'ANY 1 (n1, n2)';

const reasonsOf = (node: TestNode, wall: number) => node.worker.decisions(wall).map(({ reason }) => reason);

async function inRecovery(node: TestNode): Promise<boolean | undefined> {
  const [row] = await node.server.query<{ standby: boolean }>('select pg_is_in_recovery() as standby');
  return row?.standby;
}

async function bringBack(node: TestNode): Promise<void> {
  await node.server.start();
  node.worker.start();
}

describe('two nodes, quorum = auto', { concurrency: false }, () => {
  let two: FailoverCluster;
  const file = (name: string) => join(two.cluster.folder, name);
  const fenced = () =>
    existsSync(file('fenced')) ? readFileSync(file('fenced'), 'utf8').trim().split('\n') : [];

  before(async () => {
    two = await FailoverCluster.create({
      nodes: 2,
      syncNames,
      settings: {
        'pg_keeper.fencing_command':
          'test ! -e %d/../../broken && echo %n %o "$(date +%%s%%3N)" >> %d/../../fenced',
        'pg_keeper.startup_grace': '3s',
      },
    });
  });

  after(async () => {
    await two.remove();
  });

  const step = stepsOn(() => two);
  const other = (node: TestNode) => {
    const found = two.cluster.nodes.find(({ name }) => name !== node.name);
    assert.ok(found !== undefined);
    return found;
  };

  step('status, check, explain, the log and the events say that no guarantee is kept', async () => {
    const master = await two.master();
    for (const { worker } of two.cluster.nodes) await worker.untilDecision('two-nodes');
    for (const node of two.cluster.nodes) {
      const on = ['-d', node.server.conninfo()];
      for (const [command, text] of [
        ['status', /^! two nodes without a witness: no majority is possible/m],
        ['check', /two nodes without a witness: no majority is possible/],
        ['explain', /Warning: two nodes without a witness: no majority is possible/],
      ] as const)
        assert.match((await pgkeeper([command, ...on])).out, text, `${command} on ${node.name}`);
    }
    await until('the events say so', async () => {
      const rows = await master.server.query(`select from pgkeeper.events where code = 'two-nodes'`);
      return rows.length > 0;
    });
  });

  step(
    'the standby is lost: the master goes on asynchronously after T, and is synchronous again by itself',
    async () => {
      const master = await two.master();
      const standby = other(master);
      await two.untilAllVote(master.name);
      const [wall, since] = [Date.now(), performance.now()];
      await losePower(standby);
      await master.worker.untilDecision('went-async', wall);
      // Its time runs from the last look that it answered, which may be a heartbeat older than the loss.
      assert.ok(performance.now() - since >= failoverTimeMs - keepaliveMs, 'a standby is given its time');
      await two.untilWriting();
      assert.equal((await registryOf(master)).syncNeeded, 0);
      await bringBack(standby);
      await master.worker.untilDecision('back-to-sync', wall, 60_000);
      await two.cluster.untilSettled(master.name);
      await two.assertNothingLost(master);
    },
  );

  step(
    'the master is lost: fencing_command first, then the standby is promoted, T after the last sign of life',
    async () => {
      const old = await two.master();
      const next = other(old);
      await two.untilAllVote(old.name);
      const [wall, since] = [Date.now(), performance.now()];
      await losePower(old);
      const taken = await two.untilTakenOver(old, since);
      assert.equal(taken.name, next.name);
      const first = two.writer.firstSince(since, old.name);
      assert.ok(
        (first?.at ?? 0) - since >= failoverTimeMs - keepaliveMs,
        'not at once: a refused connection may be a cut link',
      );
      const promoting = await next.worker.untilDecision('promoting', wall);
      const ran = fenced().map((line) => line.split(' '));
      assert.deepEqual(
        ran.map((fields) => fields.slice(0, 2)),
        [[next.name, old.name]],
      );
      assert.ok(Number(ran[0]?.[2]) <= promoting.time, 'the command had succeeded before the promotion');
      await two.untilWriting();
      await bringBack(old);
      await two.cluster.untilSettled(next.name);
      await two.assertNothingLost(next);
      two.assertNoOverlap(since);
    },
  );

  step(
    'only its server crashes: its worker starts it again, and one of the two is master with everything',
    async () => {
      const old = await two.master();
      await two.untilAllVote(old.name);
      const { epoch } = await registryOf(old);
      const since = performance.now();
      old.server.kill();
      await until('a client writes again', () => two.writer.firstSince(since + 500), 60_000);
      const master = await two.master();
      await two.cluster.untilSettled(master.name);
      assert.ok((await registryOf(master)).epoch > epoch, 'it was no master in between');
      await two.assertNothingLost(master);
      two.assertNoOverlap(since);
    },
  );

  step('a fencing_command that fails stops the promotion for as long as it does', async () => {
    const old = await two.master();
    const next = other(old);
    await two.untilAllVote(old.name);
    writeFileSync(file('broken'), '');
    const [wall, since] = [Date.now(), performance.now()];
    await losePower(old);
    await next.worker.untilDecision('fencing-command-failed', wall, 60_000);
    await delay(2 * failoverTimeMs);
    assert.ok(!reasonsOf(next, wall).includes('promoting'));
    assert.equal(await inRecovery(next), true);
    assert.equal(two.writer.firstSince(since, old.name), null, 'nobody took a write');
    rmSync(file('broken'));
    assert.equal((await two.untilTakenOver(old, since)).name, next.name);
    await bringBack(old);
    await two.cluster.untilSettled(next.name);
    await two.assertNothingLost(next);
  });
});

describe('two nodes, quorum = strict', { concurrency: false }, () => {
  let two: FailoverCluster;

  before(async () => {
    two = await FailoverCluster.create({
      nodes: 2,
      syncNames,
      settings: { 'pg_keeper.quorum': 'strict', 'pg_keeper.startup_grace': '3s' },
    });
  });

  after(async () => {
    await two.remove();
  });

  const step = stepsOn(() => two);

  step('check and status say what strict costs', async () => {
    const on = ['-d', two.node('n1').server.conninfo()];
    assert.match(
      (await pgkeeper(['status', ...on])).out,
      /^! two nodes without a witness and quorum = strict/m,
    );
    const check = await pgkeeper(['check', ...on]);
    assert.equal(check.code, 1);
    assert.match(check.out, /with one lost there is no majority, so no\s+failover/);
  });

  step(
    'without its master the standby is never promoted, and says why; both go on when it is back',
    async () => {
      const [old, standby] = [two.node('n1'), two.node('n2')];
      await two.untilAllVote('n1');
      const [wall, since] = [Date.now(), performance.now()];
      await losePower(old);
      await standby.worker.untilDecision('no-majority', wall, 60_000);
      await delay(2 * failoverTimeMs);
      assert.ok(!reasonsOf(standby, wall).includes('promoting'));
      assert.equal(await inRecovery(standby), true);
      const explained = await pgkeeper(['explain', '-d', standby.server.conninfo()]);
      assert.match(explained.out, /nobody would be promoted/);
      assert.match(explained.out, /no majority: 1 of 2 voters would be there, 2 are needed/);
      await bringBack(old);
      await two.untilTakenOver({ ...old, name: '' }, since);
      const master = await two.master();
      await two.cluster.untilSettled(master.name);
      await two.assertNothingLost(master);
    },
  );

  step('without its standby the master takes no writes, and goes on by itself when it is back', async () => {
    const master = await two.master();
    const standby = two.node(master.name === 'n1' ? 'n2' : 'n1');
    await two.untilAllVote(master.name);
    const wall = Date.now();
    await losePower(standby);
    await master.worker.untilDecision('lease-lapsed', wall);
    await until('it is a standby', async () => (await inRecovery(master)) === true, 60_000);
    const since = performance.now();
    await delay(2 * failoverTimeMs);
    assert.equal(two.writer.firstSince(since), null, 'nobody took a write');
    assert.ok(!reasonsOf(master, wall).includes('went-async'), 'sync is not weakened without a majority');
    await bringBack(standby);
    await two.untilWriting();
    const next = await two.master();
    await two.cluster.untilSettled(next.name);
    await two.assertNothingLost(next);
  });
});

describe('three nodes, two of them gone', { concurrency: false }, () => {
  let three: FailoverCluster;

  before(async () => {
    three = await FailoverCluster.create({
      nodes: 3,
      syncNames: 'ANY 1 (n1, n2, n3)',
      settings: { 'pg_keeper.startup_grace': '3s' },
    });
  });

  after(async () => {
    await three.remove();
  });

  const step = stepsOn(() => three);

  /** Loses all but `left`, and watches it do nothing unsafe for longer than any of its times. */
  async function leaveAlone(left: TestNode): Promise<void> {
    const gone = three.cluster.nodes.filter(({ name }) => name !== left.name);
    const wall = Date.now();
    await Promise.all(gone.map(losePower));
    await until(
      'it is a standby that is alone',
      async () => {
        const [row] = await left.server.query<{ state: string }>(
          'select state from pgkeeper.status where name = $1 and pg_is_in_recovery()',
          [left.name],
        );
        return row !== undefined && /^(standby:(alone|electing)|fenced)/.test(row.state);
      },
      60_000,
    );
    const since = performance.now();
    const { epoch } = await registryOf(left);
    await delay(2 * failoverTimeMs);
    assert.equal(await inRecovery(left), true, 'it stays read-only');
    assert.equal(three.writer.firstSince(since), null, 'nobody took a write');
    assert.equal((await registryOf(left)).epoch, epoch);
    const reasons = reasonsOf(left, wall);
    assert.ok(!reasons.includes('promoting') && !reasons.includes('went-async'), reasons.join());
    const on = ['-d', left.server.conninfo()];
    const explained = await pgkeeper(['explain', ...on]);
    assert.match(explained.out, /no majority: 1 of 3 voters would be there, 2 are needed/);
    const status = await pgkeeper(['status', ...on]);
    for (const { name } of gone) {
      assert.match(explained.out, new RegExp(`${name}: not promoted, cannot be reached`));
      assert.match(status.out, new RegExp(`^! ${name} cannot be reached from here`, 'm'));
    }
    // One more is a majority; with all servers that hold the last commits it takes writes again.
    for (const node of gone) await bringBack(node);
    await three.untilWriting();
    const master = await three.master();
    await three.cluster.untilSettled(master.name);
    await three.assertNothingLost(master);
    await three.untilAllVote(master.name);
  }

  step('the master is left: it holds its commits, becomes a standby, and stays one', async () => {
    await three.untilAllVote('n1');
    await leaveAlone(three.node('n1'));
  });

  step('a standby is left: it stays a standby', async () => {
    const master = await three.master();
    const left = three.cluster.nodes.find(({ name }) => name !== master.name);
    assert.ok(left !== undefined);
    await leaveAlone(left);
  });
});
