/**
 * indirect_polling and the status view on real servers without workers: the answers of a healthy, a dead, a frozen and a
 * broken server, asked on the master and on a standby.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type pg from 'pg';
import { withKeywords } from '../../src/core/conninfo.js';
import { keeperRole } from '../../src/testbed/cluster.js';
import { grantsFor } from '../../src/testbed/grants.js';
import { until } from '../../src/testbed/until.js';
import { BrokenServer, breakages } from '../support/broken-servers.js';
import { byHand } from '../support/by-hand.js';
import { refusal } from '../support/refusal.js';
import { installation, RegistryServers } from '../support/registry-servers.js';

const servers = new RegistryServers();
const conninfo = (name: string) => servers.get(name).conninfo();
/** Before PostgreSQL 15 a worker is superuser. */
const roles = installation.major >= 15 ? ['postgres', keeperRole] : ['postgres'];
/** keepalive_time of the servers is 1 s; the rest is for a busy machine, far from any timeout of TCP. */
const boundMs = 15_000;

async function poll(from: string, target: string | null, role = 'postgres'): Promise<boolean | undefined> {
  const start = performance.now();
  const [row] = await servers
    .get(from)
    .query<{ answers: boolean }>('select pgkeeper.indirect_polling($1) as answers', [target], role);
  const tookMs = performance.now() - start;
  assert.ok(tookMs < boundMs, `took ${tookMs} ms`);
  return row?.answers;
}

before(async () => {
  await servers.create(['n1', 'n2']);
  if (installation.major >= 15) await servers.master.query(grantsFor(keeperRole, { withoutPassword: true }));
  await servers.add('n1', conninfo('n1'));
  await servers.untilStreaming('n2');
  await servers.add('n2', conninfo('n2'));
  await until('the standby knows it', async () => {
    const rows = await servers.get('n2').query('select from pgkeeper.node_info');
    return rows.length === 2;
  });
});
after(() => servers.remove());

describe('indirect_polling', { concurrency: false }, () => {
  for (const role of roles) {
    test(`is true for every server that answers, on the master and on a standby (as ${role})`, async () => {
      for (const from of ['n1', 'n2']) {
        for (const to of ['n1', 'n2']) {
          const uri = `postgresql://postgres@127.0.0.1:${servers.get(to).port}/postgres?connect_timeout=600`;
          for (const target of [conninfo(to), servers.secretConninfo(to), uri])
            assert.equal(await poll(from, target, role), true, `${from} asks ${target}`);
        }
      }
    });

    test(`is false for whatever does not answer (as ${role})`, async () => {
      const good = servers.secretConninfo('n1');
      for (const from of ['n1', 'n2']) {
        for (const target of [
          ...[null, '', '  ', 'hush', 'host=', `host='127.0.0.1`, 'postgresql://[', '=', '\\'],
          withKeywords(good, { port: '1' }),
          withKeywords(good, { password: 'hush' }),
          withKeywords(good, { user: 'nobody-known' }),
          withKeywords(good, { dbname: 'elsewhere' }),
          withKeywords(good, { host: '/nonexistent' }),
        ])
          assert.equal(await poll(from, target, role), false, `${from} asks ${target}`);
      }
    });
  }

  test('is false, and soon so, for a frozen server, whatever its own connect_timeout; true when it is thawed', async () => {
    const frozen = conninfo('n2');
    servers.get('n2').freeze();
    try {
      const targets = [
        frozen,
        `${frozen} connect_timeout=600`,
        `postgresql://postgres@127.0.0.1:${servers.get('n2').port}/postgres?connect_timeout=600`,
      ];
      const polls = roles.flatMap((role) => targets.map((target) => poll('n1', target, role)));
      assert.deepEqual(new Set(await Promise.all(polls)), new Set([false]));
      await servers.refused(
        () => servers.add('n3', `${frozen} connect_timeout=2`),
        /^the server does not answer: /,
      );
    } finally {
      servers.get('n2').thaw();
    }
    for (const role of roles) assert.equal(await poll('n1', frozen, role), true);
  });

  test('is false on a standby for its frozen master', async () => {
    servers.master.freeze();
    try {
      const polls = roles.map((role) => poll('n2', conninfo('n1'), role));
      assert.deepEqual(new Set(await Promise.all(polls)), new Set([false]));
      assert.equal(await poll('n2', conninfo('n2')), true);
    } finally {
      servers.master.thaw();
    }
    assert.equal(await poll('n2', conninfo('n1')), true);
  });

  for (const breakage of breakages) {
    test(`is false for a server that ${breakage}`, async () => {
      const broken = await BrokenServer.start(breakage);
      try {
        const polls = roles.flatMap((role) => ['n1', 'n2'].map((from) => poll(from, broken.conninfo, role)));
        assert.deepEqual(new Set(await Promise.all(polls)), new Set([false]));
      } finally {
        await broken.stop();
      }
    });
  }

  test('leaves no connection behind, whatever came of it', async () => {
    const broken = await BrokenServer.start('never answers a query');
    const client = await servers.master.connect();
    try {
      for (const target of [
        conninfo('n1'),
        conninfo('n2'),
        broken.conninfo,
        withKeywords(conninfo('n2'), { port: '1' }),
      ])
        await client.query('select pgkeeper.indirect_polling($1, 500)', [target]);
      const { rows } = await client.query('select dblink_get_connections() as open');
      assert.deepEqual(rows, [{ open: null }]);
      await until('the second sessions are gone', async () => {
        const { rows: others } = await client.query(
          `select from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()`,
        );
        return others.length === 0;
      });
    } finally {
      await client.end();
      await broken.stop();
    }
  });

  test('takes a time of its own, which must be one', async () => {
    const poller = (timeout: string) =>
      servers.master.query(`select pgkeeper.indirect_polling($1, ${timeout}) as answers`, [conninfo('n2')]);
    assert.deepEqual(await poller('2000'), [{ answers: true }]);
    for (const timeout of ['0', '-1', 'null'])
      assert.match((await refusal(poller(timeout))).message, /^timeout_ms must be at least 1$/);
  });

  // Before 16 dblink lets nobody interrupt it while it connects.
  if (installation.major >= 16) {
    test('that is cancelled says nothing about the server', async () => {
      const broken = await BrokenServer.start('accepts only');
      const client = await servers.master.connect();
      try {
        const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
        const polling = refusal(
          client.query('select pgkeeper.indirect_polling($1, 60000)', [broken.conninfo]),
        );
        await until('it polls', async () => {
          const [row] = await servers.master.query<{ busy: boolean }>(
            `select state = 'active' and query like '%indirect_polling%' as busy from pg_stat_activity where pid = $1`,
            [rows[0]?.pid],
          );
          return row?.busy;
        });
        await servers.master.query('select pg_cancel_backend($1)', [rows[0]?.pid]);
        assert.equal((await polling).code, '57014');
      } finally {
        await client.end();
        await broken.stop();
      }
    });
  }
});

interface StatusRow {
  readonly name: string;
  readonly role: string;
  readonly state: string;
  readonly is_nextmaster: boolean;
  readonly timeline: number | null;
  readonly has_lsn: boolean;
  readonly lag_bytes: string | null;
  readonly dated: boolean;
  readonly lease: string | null;
}

describe('the view status', { concurrency: false }, () => {
  const rowsOf = (on: string, role = 'postgres') =>
    servers.get(on).query<StatusRow & Record<string, unknown>>(
      `select name, role, state, is_nextmaster, timeline, lsn is not null as has_lsn, lag_bytes, since is not null as dated, lease
       from pgkeeper.status`,
      [],
      role,
    );
  /** Background work writes a little WAL now and then. */
  const rowsWithoutLag = (on: string, role: string) =>
    until(`${on} shows no lag`, async () => {
      const rows = await rowsOf(on, role);
      return rows[1]?.lag_bytes === '0' ? rows : null;
    });
  const master = { name: 'n1', role: 'master', is_nextmaster: false, dated: false, lease: null };
  const standby = { name: 'n2', role: 'standby', is_nextmaster: true, dated: false, lease: null };
  const known = { timeline: 1, has_lsn: true, lag_bytes: '0' };
  const unknown = { timeline: null, has_lsn: false, lag_bytes: null };

  /** A session that shows itself as a worker's does. */
  async function show(applicationName: string, statement = 'select'): Promise<pg.Client> {
    const client = await servers.master.connect();
    await client.query(`select set_config('application_name', $1, false)`, [applicationName]);
    await client.query(statement);
    return client;
  }

  test('shows on the master what streams from it, and no worker as unreachable', async () => {
    for (const role of roles) {
      assert.deepEqual(await rowsWithoutLag('n1', role), [
        { ...master, ...known, state: 'unreachable' },
        { ...standby, ...known, state: 'unreachable' },
      ]);
    }
  });

  test('shows the state a worker’s session tells, since when, and who holds the vote', async () => {
    await servers.master.query(
      `insert into pgkeeper.node_state (name, state) values ('n1', 'master:ready'), ('n2', 'standby:connected')`,
    );
    const vote = 'select pg_advisory_lock(system_identifier) from pg_control_system()';
    const sessions = [await show('pgk master:connected n1', vote), await show('pgk standby:connected n2')];
    try {
      const rows = await rowsOf('n1');
      assert.deepEqual(
        rows.map((row) => [row.name, row.state, row.dated, row.lease]),
        [
          ['n1', 'master:connected', false, 'n1'],
          ['n2', 'standby:connected', true, null],
        ],
      );
    } finally {
      await Promise.all(sessions.map((session) => session.end()));
    }
  });

  test('finds the session of a name that does not fit beside its state', async () => {
    const long = `n${'0'.repeat(62)}`;
    await servers.master.query(
      `${byHand} insert into pgkeeper.node_info (name, conninfo) values ('${long}', 'host=c')`,
    );
    const session = await show(`pgk standby:electing ${long}`);
    try {
      assert.equal((await rowsOf('n1')).find(({ name }) => name === long)?.state, 'standby:electing');
    } finally {
      await session.end();
      await servers.del(long);
    }
  });

  test('works on a standby whose master is frozen, and on one that is all alone', async () => {
    servers.master.freeze();
    try {
      for (const role of roles)
        assert.deepEqual(await rowsWithoutLag('n2', role), [
          { ...master, ...unknown, state: 'unreachable' },
          { ...standby, ...known, state: 'unreachable' },
        ]);
    } finally {
      servers.master.thaw();
    }
    await servers.master.stop('immediate');
    const alone = await rowsOf('n2');
    assert.deepEqual(
      alone.map(({ name, has_lsn, timeline }) => [name, has_lsn, timeline]),
      [
        ['n1', false, null],
        ['n2', true, 1],
      ],
    );
  });
});
