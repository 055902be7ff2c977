/** What the views and `status` tell of replication and of a standby that is alone; how old events go. Real servers with workers. */
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { ClusterStatus } from '../../src/cli/status.js';
import { KeptSession } from '../../src/postgres/kept-session.js';
import { eventBatch, lookAfter } from '../../src/postgres/upkeep.js';
import { keeperRole, type TestNode } from '../../src/testbed/cluster.js';
import { until } from '../../src/testbed/until.js';
import { byHand } from '../support/by-hand.js';
import { pgkeeper } from '../support/command-line.js';
import { FailoverCluster, stepsOn } from '../support/failover-cluster.js';

interface Lags {
  readonly name: string;
  readonly state: string;
  readonly replication_lag: string | null;
  readonly apply_lag: string | null;
  readonly seconds: number | null;
}

async function lagsOn(node: TestNode): Promise<ReadonlyMap<string, Lags>> {
  const rows = await node.server.query<Lags & Record<string, unknown>>(
    `select name, state, replication_lag, apply_lag, extract(epoch from time_lag)::float8 as seconds from pgkeeper.repl_status`,
    [],
    // As the workers' role: what grants.sql gives is enough.
    keeperRole,
  );
  return new Map(rows.map((row) => [row.name, row]));
}

describe('lags and history', { concurrency: false }, () => {
  let two: FailoverCluster;

  before(async () => {
    two = await FailoverCluster.create({
      nodes: 2,
      syncNames: '',
      settings: { 'pg_keeper.event_retention': '30d', 'pg_keeper.quorum': 'strict' },
    });
  });

  after(async () => {
    await two.remove();
  });

  const step = stepsOn(() => two);
  const oldEvents = async (days: number) => {
    const [row] = await two
      .node('n1')
      .server.query<{ count: number }>(
        `select count(*)::int as count from pgkeeper.events where at < now() - $1 * interval '1 day'`,
        [days],
      );
    return row?.count ?? -1;
  };

  step('repl_status of an idle cluster is 0 everywhere and stays so', async () => {
    await two.writer.stop();
    const [master, standby] = [two.node('n1'), two.node('n2')];
    await until('everything is replayed', async () => (await lagsOn(master)).get('n2')?.apply_lag === '0');
    await delay(3000);
    const seen = await lagsOn(master);
    assert.deepEqual(seen.get('n1'), {
      name: 'n1',
      state: 'master',
      replication_lag: '0',
      apply_lag: '0',
      seconds: 0,
    });
    assert.deepEqual(seen.get('n2'), {
      name: 'n2',
      state: 'streaming',
      replication_lag: '0',
      apply_lag: '0',
      seconds: 0,
    });
    const own = await lagsOn(standby);
    assert.deepEqual([...own.values()], [seen.get('n2')], 'a standby shows its own row only');
  });

  step(
    'a standby that replays nothing is behind in apply_lag and, as it says itself, in time_lag',
    async () => {
      const [master, standby] = [two.node('n1'), two.node('n2')];
      await standby.server.query('select pg_wal_replay_pause()');
      await master.server.query('create table filling as select n from generate_series(1, 5000) n');
      const behind = await until('it is behind', async () => {
        const row = (await lagsOn(master)).get('n2');
        return Number(row?.apply_lag) > 100_000 && row?.replication_lag === '0' ? row : null;
      });
      assert.equal(behind.state, 'streaming');
      await until('its own row says how long', async () => {
        const row = (await lagsOn(standby)).get('n2');
        return Number(row?.apply_lag) > 100_000 && Number(row?.seconds) > 2;
      });
      await standby.server.query('select pg_wal_replay_resume()');
      await until('it has caught up', async () => {
        const rows = [(await lagsOn(master)).get('n2'), (await lagsOn(standby)).get('n2')];
        return rows.every((row) => row?.apply_lag === '0' && row.seconds === 0);
      });
    },
  );

  step('events that are older than event_retention go, a batch at a time, on the master only', async () => {
    const [master, standby] = [two.node('n1'), two.node('n2')];
    await master.worker.stop();
    // Times around 30 days, out of order, and one row in front that is young.
    await master.server.query(`insert into pgkeeper.events (at, epoch, node, code, sentence)
      select now() - (case when n % 2 = 0 then 31 else 29 end) * interval '1 day', 1, 'n1', 'made-up', 'old' from generate_series(1, 1600) n`);
    assert.equal(await oldEvents(30), 800);
    const session = new KeptSession('upkeep');
    const deletes = ({ server }: TestNode, retentionMs: number | null) =>
      session.run(
        server.conninfo(keeperRole),
        3000,
        async (client) => (await lookAfter(client, retentionMs, 3000)).deletedEvents,
      );
    assert.equal(await deletes(master, null), 0);
    assert.equal(await deletes(standby, 30 * 86_400_000), 0);
    const first = await deletes(master, 30 * 86_400_000);
    assert.ok(first > 0 && first <= eventBatch, `${first} in one go`);
    assert.equal(await oldEvents(30), 800 - first);
    const blocker = await master.server.connect();
    try {
      await blocker.query('begin; lock table pgkeeper.events in share mode');
      assert.equal(await deletes(master, 86_400_000), 0, 'it does not wait for a lock');
    } finally {
      await blocker.end();
      session.end();
    }
    master.worker.start();
    await until('its worker deletes some', async () => (await oldEvents(30)) < 800 - first, 30_000, 200);
    const [young] = await master.server.query<{ count: number }>(
      `select count(*)::int as count from pgkeeper.events where code = 'made-up' and at > now() - interval '30 days'`,
    );
    assert.equal(young?.count, 800);
  });

  step('the session of the upkeep is kept, and opened anew where the server has ended it', async () => {
    const { server } = two.node('n1');
    const session = new KeptSession('upkeep');
    const pid = (conninfo = server.conninfo(keeperRole)) =>
      session.run(conninfo, 3000, async (client) => {
        const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
        return rows[0]?.pid;
      });
    const first = await pid();
    try {
      assert.equal(await pid(), first);
      await server.query('select pg_terminate_backend($1)', [first]);
      await until('the session is over', async () => {
        const rows = await server.query('select from pg_stat_activity where pid = $1', [first]);
        return rows.length === 0;
      });
      const second = await pid();
      assert.notEqual(second, first);
      assert.notEqual(await pid(two.node('n2').server.conninfo(keeperRole)), second);
    } finally {
      session.end();
    }
    await until('none is left', async () => {
      const rows = await server.query(`select from pg_stat_activity where application_name = 'upkeep'`);
      return rows.length === 0;
    });
  });

  step('a standby whose master is gone tells what it knows, and since when', async () => {
    const [master, standby] = [two.node('n1'), two.node('n2')];
    await two.untilAllVote('n1');
    master.worker.killNow();
    master.server.kill();
    await master.worker.kill();
    await delay(2500);
    const on = ['-d', standby.server.conninfo()];
    const status = await pgkeeper(['status', ...on]);
    assert.equal(status.code, 0, status.err);
    const [, seconds] = /^! the newest that n2 has of its master n1 is (\d+) s old$/m.exec(status.out) ?? [];
    assert.ok(Number(seconds) >= 2, status.out);
    const json = JSON.parse((await pgkeeper(['status', '--json', ...on])).out) as ClusterStatus;
    assert.equal(json.master, 'n1');
    const rows = new Map(json.nodes.map((node) => [node.name, node]));
    assert.deepEqual([rows.get('n1')?.state, rows.get('n1')?.reachable], ['unreachable', false]);
    assert.equal(rows.get('n2')?.role, 'standby');
    assert.ok(Date.parse(rows.get('n2')?.heard_of_master ?? '') < Date.now() - 2000);
    const own = (await lagsOn(standby)).get('n2');
    assert.equal(own?.state, 'disconnected');
    assert.equal(own?.replication_lag, null, 'nobody tells it what there is');
    assert.ok(Number(own?.seconds) > 2);
    const [shown] = await standby.server.query<{ state: string; role: string }>(
      `select state, role from pgkeeper.status where name = 'n1'`,
    );
    assert.deepEqual(shown, { state: 'unreachable', role: 'master' });
    const events = await pgkeeper(['events', '--limit', '3', ...on]);
    assert.equal(events.code, 0, events.err);
    await master.server.start();
    master.worker.start();
    await until('there is a master again', () => two.cluster.master(), 60_000);
  });

  step('of a node that does not stream the master knows no lags', async () => {
    const master = await two.master();
    await master.server.query(
      `${byHand} insert into pgkeeper.node_info (name, conninfo) values ('n9', 'host=127.0.0.1 port=1')`,
    );
    assert.deepEqual((await lagsOn(master)).get('n9'), {
      name: 'n9',
      state: 'disconnected',
      replication_lag: null,
      apply_lag: null,
      seconds: null,
    });
    await master.server.query(`select pgkeeper.del_node('n9')`);
  });
});
