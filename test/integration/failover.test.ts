/** The master of three real servers crashes, freezes, is lost with its worker: who takes over, what is lost, what comes back. */
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { TestNode } from '../../src/testbed/cluster.js';
import { until } from '../../src/testbed/until.js';
import {
  FailoverCluster,
  failoverTimeMs,
  keepaliveMs,
  registryOf,
  stepsOn,
} from '../support/failover-cluster.js';

describe('failover of three servers with synchronous replication', { concurrency: false }, () => {
  let three: FailoverCluster;

  before(async () => {
    three = await FailoverCluster.create({ nodes: 3, syncNames: 'ANY 1 (n1, n2, n3)' });
  });

  after(async () => {
    await three.remove();
  });

  const step = stepsOn(() => three);

  step(
    'a crashed master is replaced, nothing acknowledged is lost, and it comes back as a standby by itself',
    async () => {
      const old = await three.master();
      await three.untilAllVote(old.name);
      const before = await registryOf(old);
      const pinned = three.pin(old);
      await until('the pinned client writes', () => pinned.acknowledged.length > 5);
      const since = performance.now();
      const wall = Date.now();
      old.server.kill();
      const next = await three.untilTakenOver(old, since);
      assert.equal((await next.worker.untilDecision('master-ready', wall)).epoch, before.epoch + 1);
      await three.cluster.untilSettled(next.name);
      const [role] = await old.server.query<{ standby: boolean; marked: string | null }>(
        `select pg_is_in_recovery() as standby, current_setting('pg_keeper.fenced', true) as marked`,
      );
      assert.equal(role?.standby, true);
      assert.notEqual(role?.marked, 'on', 'the mark of the fence is gone');
      await three.assertNothingLost(next);
      three.assertNoOverlap(since, pinned);
      assert.equal(
        pinned.firstSince(three.writer.firstSince(since, old.name)?.at ?? since),
        null,
        'the deposed master acknowledged nothing',
      );
    },
  );

  step('a frozen master is replaced after T, and takes no write when it wakes up', async () => {
    const old = await three.master();
    await three.untilAllVote(old.name);
    const pinned = three.pin(old);
    await until('the pinned client writes', () => pinned.acknowledged.length > 5);
    const since = performance.now();
    old.worker.freeze();
    old.server.freeze();
    const next = await three.untilTakenOver(old, since);
    const first = three.writer.firstSince(since, old.name);
    // T runs from its last answer, which may be a heartbeat older than the freeze.
    const silentMs = (first?.at ?? 0) - since;
    assert.ok(
      silentMs >= failoverTimeMs - keepaliveMs,
      `a silent master is given its time T: ${silentMs} ms`,
    );
    await delay(500);
    // The server alone first: its worker cannot help it.
    old.server.thaw();
    await delay(1000);
    old.worker.thaw();
    await three.cluster.untilSettled(next.name);
    assert.equal(
      pinned.acknowledged.filter(({ at }) => at > (first?.at ?? 0)).length,
      0,
      'the deposed master acknowledged nothing',
    );
    await three.assertNothingLost(next);
  });

  step('a master lost with its worker in the middle of a bulk write is replaced', async () => {
    const old = await three.master();
    await three.untilAllVote(old.name);
    const client = await old.server.connect();
    client.on('error', () => undefined);
    const ended = client
      .query(
        `select pg_logical_emit_message(false, 'bulk', repeat('x', 100000)) from generate_series(1, 100000)`,
      )
      .then(
        () => 'done',
        () => 'broken off',
      );
    const standby = three.cluster.nodes.find(({ name }) => name !== old.name) as TestNode;
    // Far from the end of a WAL file: one that ends within a record that goes on in the next file follows nobody (SPEC.md, known gaps).
    await until(
      'a standby is in the middle of a record, and of a file',
      async () => {
        const [row] = await standby.server.look<{ behind: string; place: string }>(
          `select received - pg_last_wal_replay_lsn() as behind, (received - '0/0') % (16 * 1024 * 1024) as place
           from pg_last_wal_receive_lsn() as received`,
        );
        return Number(row?.behind) > 0 && Number(row?.place) > 2_000_000 && Number(row?.place) < 8_000_000;
      },
      30_000,
      1,
    );
    const since = performance.now();
    old.worker.killNow();
    old.server.kill();
    const next = await three.untilTakenOver(old, since);
    assert.equal(await ended, 'broken off');
    await client.end().catch(() => undefined);
    old.worker.start();
    await three.cluster.untilSettled(next.name);
    await three.assertNothingLost(next);
    await three.assertOwnCredentials(next);
  });

  step(
    'of two synchronous standbys the one that lags behind is not taken, though it has replayed more',
    async () => {
      const old = await three.master();
      await three.untilAllVote(old.name);
      const [lagging, ahead] = three.cluster.nodes.filter(({ name }) => name !== old.name);
      assert.ok(lagging !== undefined && ahead !== undefined);
      await old.server.query('create table bulk (t text)');
      await ahead.server.query('select pg_wal_replay_pause()');
      const [receiver] = await lagging.server.query<{ pid: number }>('select pid from pg_stat_wal_receiver');
      assert.ok(receiver !== undefined);
      process.kill(receiver.pid, 'SIGSTOP');
      // More than what fits into the buffers of the connection.
      await old.server.query(`insert into bulk select repeat('x', 1000) from generate_series(1, 30000)`);
      await three.untilWriting();
      const position = async ({ server }: TestNode, what: string) => {
        const [row] = await server.query<{ at: string }>(`select ${what} - '0/0'::pg_lsn as at`);
        return Number(row?.at);
      };
      const [received, replayed] = ['pg_last_wal_receive_lsn()', 'pg_last_wal_replay_lsn()'];
      const lag = (await position(ahead, received)) - (await position(lagging, received));
      assert.ok(lag > 16_000_000, `it lags by ${lag} bytes`);
      assert.ok((await position(ahead, replayed)) < (await position(lagging, replayed)));
      const since = performance.now();
      old.worker.killNow();
      old.server.kill();
      process.kill(receiver.pid, 'SIGCONT');
      const next = await three.untilTakenOver(old, since);
      assert.equal(next.name, ahead.name);
      old.worker.start();
      await three.cluster.untilSettled(next.name);
      await three.assertNothingLost(next);
      three.assertNoOverlap(since);
      const [bulk] = await next.server.query<{ rows: number }>('select count(*)::int as rows from bulk');
      assert.equal(bulk?.rows, 30_000, 'what was acknowledged as a whole is there as a whole');
    },
  );

  step(
    'a worker killed on any node changes nothing, and takes up its work when it is started again',
    async () => {
      const master = await three.master();
      const before = await registryOf(master);
      for (const { name, worker } of three.cluster.nodes) {
        await worker.kill();
        await delay(300);
        worker.start();
        await three.cluster.untilSettled(master.name);
        const now = await registryOf(await three.master());
        assert.equal(now.master, before.master, `after the worker of ${name}`);
      }
      await three.assertNothingLost(master);
    },
  );

  step('a clean restart of the master by an administrator is no failure', async () => {
    const master = await three.master();
    await three.untilAllVote(master.name);
    const wall = Date.now();
    await master.server.restart();
    await three.untilWriting();
    assert.equal((await three.master()).name, master.name);
    for (const { worker } of three.cluster.nodes) {
      assert.deepEqual(
        worker.decisions(wall).filter(({ reason }) => reason === 'promoting'),
        [],
      );
    }
    await three.assertNothingLost(master);
  });

  step('a restart of all workers at once changes nothing', async () => {
    const master = await three.master();
    await three.cluster.untilSettled(master.name);
    for (const { worker } of three.cluster.nodes) assert.equal(await worker.stop(), 0);
    for (const { worker } of three.cluster.nodes) worker.start();
    await three.cluster.untilSettled(master.name);
    assert.equal((await three.master()).name, master.name);
    await three.assertNothingLost(master);
  });

  step('servers and workers started in the wrong order find their old roles', async () => {
    const master = await three.master();
    await three.untilAllVote(master.name);
    for (const { worker } of three.cluster.nodes) await worker.stop();
    await master.server.stop();
    const standbys = three.cluster.nodes.filter(({ name }) => name !== master.name);
    for (const { server } of standbys) await server.stop();
    for (const { server, worker } of standbys) {
      worker.start();
      await server.start();
    }
    await delay(failoverTimeMs);
    await master.server.start();
    master.worker.start();
    await three.untilWriting();
    await three.assertNothingLost(await three.master());
    await three.cluster.untilSettled((await three.master()).name);
    assert.equal((await three.master()).name, master.name);
  });
});
