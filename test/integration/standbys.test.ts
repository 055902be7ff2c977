/** Standbys come and go under load: async and back, nodes added and removed, hooks, asynchronous clusters. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { keeperRole } from '../../src/testbed/cluster.js';
import { until } from '../../src/testbed/until.js';
import { FailoverCluster, leaseTtlMs, registryOf, stepsOn } from '../support/failover-cluster.js';

describe('standbys of a synchronous cluster', { concurrency: false }, () => {
  let three: FailoverCluster;
  const hookLog = () => join(three.cluster.folder, 'hooks');
  const hookLines = () => (existsSync(hookLog()) ? readFileSync(hookLog(), 'utf8').trim().split('\n') : []);

  before(async () => {
    const note = (hook: string) =>
      `echo ${hook} %v %n %e "$PGKEEPER_NEW_MASTER" "$PGKEEPER_PORT" >> %d/../../hooks`;
    three = await FailoverCluster.create({
      nodes: 3,
      syncNames: 'FIRST 1 (n1, n2)',
      settings: { 'pg_keeper.async_command': note('async'), 'pg_keeper.after_command': note('after') },
    });
  });

  after(async () => {
    await three.remove();
  });

  const step = stepsOn(() => three);

  step(
    'with its synchronous standby lost the master goes on asynchronously, and is synchronous again by itself',
    async () => {
      const master = await three.master();
      await three.untilAllVote(master.name);
      const wall = Date.now();
      // The only one that is wished synchronous; n3 goes on streaming and voting.
      await three.node('n2').server.stop();
      await master.worker.untilDecision('went-async', wall);
      await three.untilWriting();
      const degraded = await registryOf(master);
      assert.equal(degraded.syncNeeded, 0);
      assert.deepEqual(degraded.syncMembers, ['n2'], 'who may hold acknowledged commits stays on record');
      await until('status says so', async () => {
        const [row] = await master.server.query<{ state: string }>(
          'select state from pgkeeper.status where name = $1',
          [master.name],
        );
        return row?.state === 'master:async';
      });
      await three.node('n2').server.start();
      await master.worker.untilDecision('back-to-sync', wall);
      await three.cluster.untilSettled(master.name);
      assert.equal((await registryOf(master)).syncNeeded, 1);
      await until('async_command ran both ways', () => {
        const events = hookLines().map((line) => line.split(' ').slice(0, 3).join(' '));
        return events.includes(`async async ${master.name}`) && events.includes(`async sync ${master.name}`);
      });
      await three.assertNothingLost(master);
    },
  );

  step('a node removed under load is left alone, and can be added again', async () => {
    const master = await three.master();
    await three.cluster.untilSettled(master.name);
    const [gone] = three.cluster.nodes.filter(({ name }) => name !== master.name);
    assert.ok(gone !== undefined);
    const [removed] = await master.server.query<{ ok: boolean }>('select pgkeeper.del_node($1) as ok', [
      gone.name,
    ]);
    assert.equal(removed?.ok, true);
    await until('it is no voter any more', async () => {
      const [row] = await master.server.query<{ voters: number }>(
        'select jsonb_array_length(voters) as voters from pgkeeper.cluster_state',
      );
      return row?.voters === 2;
    });
    await gone.worker.untilDecision('removed');
    assert.equal(gone.server.isRunning(), true, 'its server runs on');
    await three.untilWriting();
    await master.server.query('select pgkeeper.add_node($1, $2)', [
      gone.name,
      gone.server.conninfo(keeperRole),
    ]);
    await three.cluster.untilSettled(master.name);
    await three.assertNothingLost(master);
  });

  step('add_node in psql is seen by the workers at once, not at the next heartbeat only', async () => {
    const master = await three.master();
    const added = await three.addServer('n4');
    await added.server.copyOf(master.server, keeperRole);
    await added.server.start();
    added.worker.start();
    await added.worker.untilDecision('not-registered', 0);
    await three.cluster.register('n4', master.server);
    await added.worker.untilDecision('standby-connected');
    await three.cluster.untilSettled(master.name);
    await three.assertNothingLost(master);
  });

  step('a registry row locked by an open transaction does not cost the master its lease', async () => {
    const master = await three.master();
    await three.untilAllVote(master.name);
    const wall = Date.now();
    const { host, port } = master.server;
    const open = new pg.Client({ host, port, user: 'postgres', database: 'postgres' });
    open.on('error', () => undefined);
    await open.connect();
    try {
      await open.query('begin; select from pgkeeper.cluster_state for update');
      // Something for the master to write meanwhile.
      const [idle] = three.cluster.nodes.filter(({ name }) => name !== master.name && name !== 'n2');
      await idle?.server.restart();
      await delay(leaseTtlMs + 1000);
      await three.untilWriting();
    } finally {
      await open.end().catch(() => undefined);
    }
    await three.cluster.untilSettled(master.name);
    const bad = master.worker.decisions(wall).filter(({ reason }) => /lapsed|server-lost|claim/.test(reason));
    assert.deepEqual(bad, []);
    await three.assertNothingLost(master);
  });

  step('commands of the operator ran with their placeholders and environment filled', async () => {
    const master = await three.master();
    await three.untilAllVote(master.name);
    const wall = Date.now();
    const next = await three.crash(master);
    const ready = await next.worker.untilDecision('master-ready', wall);
    await next.worker.untilDecision('command-done', wall);
    const port = String(next.server.port);
    assert.ok(
      hookLines().includes(`after promoted ${next.name} ${ready.epoch} ${next.name} ${port}`),
      `after_command in ${JSON.stringify(hookLines())}`,
    );
    await three.cluster.untilSettled(next.name);
    await three.assertNothingLost(next);
  });
});

describe('an asynchronous cluster', { concurrency: false }, () => {
  test('a crashed master is replaced by the standby that has most, and a failing fencing_command stops that', async () => {
    const three = await FailoverCluster.create({
      nodes: 3,
      syncNames: '',
      settingsOf: {
        n2: { 'pg_keeper.fencing_command': 'test -e %d/../fenced' },
        n3: { 'pg_keeper.priority': '0' },
      },
    });
    try {
      const old = three.node('n1');
      const candidate = three.node('n2');
      await three.untilAllVote('n1');
      const wall = Date.now();
      const since = performance.now();
      await old.worker.kill();
      old.server.kill();
      await candidate.worker.untilDecision('fencing-command-failed', wall);
      assert.deepEqual(
        candidate.worker.decisions(wall).filter(({ reason }) => reason === 'promoting'),
        [],
      );
      writeFileSync(join(candidate.server.folder, 'fenced'), '');
      const next = await three.untilTakenOver(old, since);
      assert.equal(next.name, 'n2', 'priority 0 is never promoted');
      await candidate.worker.untilDecision('master-ready', wall);
    } catch (error) {
      throw three.explain(error);
    } finally {
      await three.remove();
    }
  });
});
