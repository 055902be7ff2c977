/**
 * The tables of the registry by themselves: what they refuse even to a direct edit, how the version counts, who is notified,
 * the times of events. One server, no standby, no worker.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type pg from 'pg';
import { parseDuration } from '../../src/core/duration.js';
import type { ReasonCode } from '../../src/core/reasons.js';
import { report, writeFlags } from '../../src/postgres/registry.js';
import type { SessionContext } from '../../src/postgres/session-context.js';
import { until } from '../../src/testbed/until.js';
import { byHand, editsByHand, witnessByHand } from '../support/by-hand.js';
import { refusal } from '../support/refusal.js';
import { RegistryServers } from '../support/registry-servers.js';
import { contextOf } from '../support/session-context.js';

const servers = new RegistryServers();
const sql = <Row extends pg.QueryResultRow>(text: string, values: readonly unknown[] = []) =>
  servers.master.query<Row>(text, values);

before(() => servers.create(['n1']));
after(() => servers.remove());

async function versionAndEpoch(): Promise<{ readonly version: number; readonly epoch: number }> {
  const [row] = await sql<{ version: string; epoch: string }>(
    'select version, epoch from pgkeeper.cluster_state',
  );
  return { version: Number(row?.version), epoch: Number(row?.epoch) };
}

/** Runs the statements in one session and gives the payloads that came of them; a marker behind them shows that all have come. */
async function notifiedBy(...statements: readonly string[]): Promise<readonly string[]> {
  const [listener, client] = [await servers.master.connect(), await servers.master.connect()];
  const payloads: string[] = [];
  let marked = false;
  try {
    listener.on('notification', ({ channel, payload = '' }) => {
      if (channel === 'pgkeeper') payloads.push(payload);
      else marked = true;
    });
    await listener.query('listen pgkeeper; listen marker');
    for (const statement of statements) await client.query(statement);
    await client.query('notify marker');
    await until('all notifications are there', () => marked);
  } finally {
    await Promise.all([listener.end(), client.end()]);
  }
  return payloads;
}

describe('the tables refuse', { concurrency: false }, () => {
  before(() =>
    sql(
      `insert into pgkeeper.node_info (name, conninfo, is_master) values ('n1', 'host=a', true), ('n2', 'host=b', false), ('n3', 'host=c', false)`,
    ),
  );

  for (const [what, statement, code] of [
    [
      'a second master, by update',
      `update pgkeeper.node_info set is_master = true where name = 'n2'`,
      '23505',
    ],
    [
      'a second master, by one update of all',
      `update pgkeeper.node_info set is_master = not is_master`,
      '23505',
    ],
    [
      'a second master, by insert',
      `insert into pgkeeper.node_info (name, conninfo, is_master) values ('n4', 'host=d', true)`,
      '23505',
    ],
    ['two next masters', `update pgkeeper.node_info set is_nextmaster = true`, '23505'],
    ['an unknown master', `update pgkeeper.node_info set is_master = null`, '23502'],
    ['a name twice', `update pgkeeper.node_info set name = 'n1'`, '23505'],
    ['a number twice', `update pgkeeper.node_info set seqno = 1`, '23505'],
    ['an empty name', `update pgkeeper.node_info set name = '' where name = 'n2'`, '23514'],
    ['a name of 64 bytes', `update pgkeeper.node_info set name = repeat('é', 32) where name = 'n2'`, '23514'],
    ['no name', `update pgkeeper.node_info set name = null where name = 'n2'`, '23502'],
    ['an empty conninfo', `update pgkeeper.node_info set conninfo = '' where name = 'n2'`, '23514'],
    ['no conninfo', `update pgkeeper.node_info set conninfo = null where name = 'n2'`, '23502'],
    ['a second row of cluster_state', 'insert into pgkeeper.cluster_state default values', '23505'],
    ['another row of cluster_state', 'insert into pgkeeper.cluster_state (only_row) values (false)', '23514'],
    ['to lose the row of cluster_state', 'delete from pgkeeper.cluster_state', '55000'],
    ['to lose it by truncate', 'truncate pgkeeper.cluster_state', '55000'],
    ['an older epoch', 'update pgkeeper.cluster_state set epoch = epoch - 1', '55000'],
    ['an older version', 'update pgkeeper.cluster_state set version = version - 1', '55000'],
  ] as const) {
    test(what, () =>
      servers.refused(() => sql(statement), /./).then((found) => assert.equal(found.code, code)),
    );
  }

  test('nothing of a master that moves in two steps', async () => {
    await sql(`begin; update pgkeeper.node_info set is_master = false where is_master;
      update pgkeeper.node_info set is_master = true where name = 'n2'; commit`);
    const masters = await sql('select name from pgkeeper.node_info where is_master');
    assert.deepEqual(masters, [{ name: 'n2' }]);
  });
});

describe('every change', { concurrency: false }, () => {
  const rename = (to: string) =>
    `update pgkeeper.node_info set conninfo = 'password=hush ${to}' where name = 'n3'`;

  for (const [what, statements, raised] of [
    ['an update', [rename('a')], 1],
    ['an insert', [`insert into pgkeeper.node_info (name, conninfo) values ('n4', 'password=hush')`], 1],
    ['a delete', [`delete from pgkeeper.node_info where name = 'n4'`], 1],
    ['del_node', [`select pgkeeper.del_node('n1')`], 1],
    ['a change of the cluster', [`update pgkeeper.cluster_state set sync_wish = 'n3'`], 1],
    [
      'a change that raises the version itself',
      [`update pgkeeper.cluster_state set version = version + 1, sync_wish = ''`],
      1,
    ],
    [
      'several in one transaction',
      ['begin', rename('b'), `update pgkeeper.cluster_state set sync_wish = 'x'`, rename('c'), 'commit'],
      1,
    ],
    [
      'one after a savepoint rolled back',
      ['begin', 'savepoint s', rename('d'), 'rollback to s', rename('e'), 'commit'],
      1,
    ],
    ['several of two transactions', [rename('f'), rename('g')], 2],
    ['a truncate', ['truncate pgkeeper.node_info'], 1],
  ] as const) {
    test(`by ${what} raises the version once a transaction and notifies, without any conninfo`, async () => {
      const earlier = await versionAndEpoch();
      const payloads = await notifiedBy(...statements);
      const { version, epoch } = await versionAndEpoch();
      assert.equal(version, earlier.version + raised);
      assert.deepEqual(
        payloads,
        Array.from({ length: raised }, (_, i) => `{"version":${earlier.version + i + 1},"epoch":${epoch}}`),
      );
      const [row] = await sql<{ copied: boolean }>(
        'select c.nodes = pgkeeper.registry_json() as copied from pgkeeper.cluster_state c',
      );
      assert.equal(row?.copied, true);
    });
  }

  test('by add_node notifies, and the last word is what is stored', async () => {
    const payloads = await notifiedBy(
      `select pgkeeper.add_node('n1', '${servers.master.conninfo()} password=hush')`,
    );
    for (const payload of payloads) assert.match(payload, /^\{"version":\d+,"epoch":\d+\}$/);
    assert.deepEqual(JSON.parse(payloads.at(-1) ?? ''), await versionAndEpoch());
  });

  test('that changes nothing, or is rolled back, is silent', async () => {
    const earlier = await servers.stored();
    const same = 'update pgkeeper.node_info set conninfo = conninfo';
    assert.deepEqual(
      await notifiedBy(same, 'begin', rename('h'), 'rollback', `select pgkeeper.del_node('n9')`),
      [],
    );
    assert.deepEqual(await servers.stored(), earlier);
  });

  test('is told again by indirect_kill, which changes nothing; other signals are refused', async () => {
    const earlier = await servers.stored();
    const now = JSON.stringify(await versionAndEpoch());
    for (const signal of ['SIGUSR1', 'SIGUSR2', 'sigusr1'])
      assert.deepEqual(await notifiedBy(`select pgkeeper.indirect_kill('${signal}')`), [now]);
    assert.deepEqual(await servers.stored(), earlier);
    for (const [signal, message] of [
      [`'SIGKILL'`, /^unknown signal 'SIGKILL'$/],
      [`''`, /^unknown signal ''$/],
      ['null', /^unknown signal NULL$/],
    ] as const) {
      const { hint } = await servers.refused(() => sql(`select pgkeeper.indirect_kill(${signal})`), message);
      assert.match(hint, /^Allowed are 'SIGUSR1' and 'SIGUSR2'/);
    }
  });
});

describe('node_info of a running cluster', { concurrency: false }, () => {
  const gone = `delete from pgkeeper.node_info where name = 'n2'`;

  before(async () => {
    await sql(`${byHand} insert into pgkeeper.node_info (name, conninfo) values ('n2', 'host=b')`);
    await sql(`${byHand} ${witnessByHand('w')}`);
  });
  after(() => sql(`${byHand} ${gone}; ${byHand} delete from pgkeeper.witness_info`));

  test('is not changed by hand, and the function for it is named', async () => {
    const earlier = await servers.stored();
    for (const [statement, message, hint] of editsByHand) {
      const refused = await refusal(sql(statement));
      assert.match(refused.message, message);
      assert.equal(refused.code, '55000');
      assert.match(refused.hint, hint);
      assert.match(refused.text, /SET pg_keeper\.edit_node_info = on/);
    }
    assert.deepEqual(await servers.stored(), earlier);
  });

  test('is changed by hand where that is meant, in a conninfo, and where it is not in force', async () => {
    await sql(`update pgkeeper.node_info set conninfo = 'host=bb' where name = 'n2'`);
    await sql(`update pgkeeper.witness_info set conninfo = 'host=ww' where name = 'w'`);
    for (const opened of [
      byHand,
      'set local session_replication_role = replica;',
      'alter table pgkeeper.node_info disable trigger user;',
      `update pgkeeper.cluster_state set system_identifier = 'of another cluster';`,
    ])
      await sql(`begin; ${opened} ${gone}; rollback`);
    assert.equal((await servers.nodes()).length, 2, 'rolled back');
  });

  test('is changed by a worker of 0.1.0, which is known by the name of its session only', async () => {
    const next = async (is: boolean) =>
      sql(`begin; set local application_name = 'pgk master:connected n1';
        update pgkeeper.node_info set is_nextmaster = ${is} where name = 'n2'; commit`);
    await next(true);
    assert.equal((await servers.nodes()).find(({ name }) => name === 'n2')?.is_nextmaster, true);
    await next(false);
  });

  test('is open to a function for as long as it runs', async () => {
    await sql(`${byHand} insert into pgkeeper.node_info (name, conninfo) values ('n3', 'host=c')`);
    const both = `begin; select pgkeeper.del_node('n3'); ${gone}; commit`;
    await servers.refused(() => sql(both), /^node "n2" cannot be removed by DELETE$/);
    assert.deepEqual(await sql(`select pgkeeper.del_node('n3') as done`), [{ done: true }]);
  });
});

describe('what is written', { concurrency: false }, () => {
  async function asWorker(use: (session: SessionContext) => Promise<unknown>): Promise<void> {
    const client = await servers.master.connect();
    try {
      await use(contextOf(client));
    } finally {
      await client.end();
    }
  }

  test('the worker names the next master, or nobody, and an unchanged verdict changes nothing', async () => {
    await sql(
      `${byHand} insert into pgkeeper.node_info (name, conninfo) values ('n2', 'host=b'), ('n3', 'host=c')`,
    );
    const flags = async () =>
      (await servers.nodes()).map(
        (row) => `${row.name}${row.is_nextmaster ? ' next' : ''}${row.is_sync ? ' sync' : ''}`,
      );
    for (const [next, sync, expected] of [
      ['n2', ['n1', 'n2'], ['n1', 'n2 next sync', 'n3']],
      ['n3', ['n2', 'n3'], ['n1', 'n2 sync', 'n3 next sync']],
      [null, ['n2'], ['n1', 'n2 sync', 'n3']],
      ['n1', [], ['n1', 'n2', 'n3']],
    ] as const) {
      await asWorker((session) => writeFlags(session, next, sync));
      assert.deepEqual(await flags(), expected);
      const stored = await servers.stored();
      await asWorker((session) => writeFlags(session, next, sync));
      assert.deepEqual(await servers.stored(), stored);
    }
  });

  test('an event has the time of its decision, though it was written later and with others', async () => {
    const agesMs = [3_600_000, 60_000, 0];
    const details = { role: 'a master' };
    const records = agesMs.map(
      (age) =>
        ({ code: 'worker-started', at: performance.now() - age, epoch: 7, again: false, details }) as const,
    );
    const sentAt = Date.now();
    await asWorker((session) => report(session, records, 'master:ready'));
    const events = await sql<{ at: Date; code: string; epoch: string; sentence: string; details: object }>(
      `select at, code, epoch, sentence, details from pgkeeper.events where code = 'worker-started' order by id`,
    );
    for (const [i, event] of events.entries()) {
      const off = Math.abs(event.at.getTime() + (agesMs[i] ?? 0) - sentAt);
      assert.ok(off < 1000, `event ${i} is ${off} ms off`);
      assert.deepEqual(event.details, { ...details, warning: false });
    }
    assert.deepEqual(
      events.map(({ sentence }) => sentence),
      Array(3).fill('worker started beside a master'),
    );
    assert.deepEqual(await sql('select name, state from pgkeeper.node_state'), [
      { name: 'n1', state: 'master:ready' },
    ]);
  });

  test('since when a state holds: until another is reported, or the worker came to it anew', async () => {
    const since = async (codes: readonly ReasonCode[], state = 'standby:connected') => {
      const records = codes.map(
        (code) => ({ code, at: performance.now(), epoch: 7, again: false, details: {} }) as const,
      );
      await asWorker((session) => report(session, records, state));
      const [row] = await sql<{ since: string }>('select since::text from pgkeeper.node_state');
      return row?.since;
    };
    const first = await since([]);
    assert.equal(await since(['next-master']), first);
    const outage = await since(['master-suspected', 'master-back']);
    assert.notEqual(outage, first, 'what was in between could not be written');
    assert.equal(await since([]), outage);
    assert.notEqual(await since([], 'standby:ready'), outage);
  });

  test('a duration in a setting is read as the worker reads it', async () => {
    const texts =
      '500ms 5s 2 1.5 .5s 3.s 1min 2h 1d 24d 1500us 250000us 90000000us 1e3 5S 5m -1s 0 1us abc s 99999d'.split(
        ' ',
      );
    for (const text of [...texts, '', ' 5 s ', '5 ms']) {
      const [row] = await sql<{ ms: number }>(
        `select pgkeeper.setting_ms('pg_keeper.keepalive_time', -7) as ms from set_config('pg_keeper.keepalive_time', $1, false)`,
        [text],
      );
      const parsed = parseDuration(text);
      const expected = parsed.kind === 'duration' && parsed.ms >= 1 ? Math.round(parsed.ms) : -7;
      assert.equal(row?.ms, expected, `'${text}'`);
    }
  });
});
