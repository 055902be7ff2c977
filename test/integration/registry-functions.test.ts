/**
 * add_node and del_node on real servers without workers: who may be registered and under which name, what is refused and in
 * which words, and the flags. The tables: registry-tables.test.ts; polling: registry-polling.test.ts; rights:
 * registry-rights.test.ts.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { withKeywords } from '../../src/core/conninfo.js';
import { byHand } from '../support/by-hand.js';
import { RegistryServers } from '../support/registry-servers.js';

const servers = new RegistryServers();
const conninfo = (name: string, user = 'postgres', database = 'postgres') =>
  servers.get(name).conninfo(user, database);
const add = (name: string | null, target: string | null) => () => servers.add(name, target);

const oddNames = [
  `it's "n3"`,
  'a b=c',
  'back\\slash',
  '%s %1$I $1',
  `'); drop table pgkeeper.node_info; --`,
  'N'.repeat(63),
];

before(async () => {
  await servers.create(['n1', 'n2', 'n3']);
  await (await servers.initialise('foreign')).start();
});
after(() => servers.remove());

describe('the first node', { concurrency: false }, () => {
  test('is refused under a name that no standby could stream under', async () => {
    const name = (text: string | null, message: RegExp) =>
      servers.refused(add(text, conninfo('n1')), message);
    assert.equal((await name(null, /^node_name must not be NULL$/)).code, '22004');
    await name('', /^node_name must not be empty$/);
    await name('  ', /^node_name must not be empty$/);
    await name('x'.repeat(64), /^node_name is 64 bytes long, at most 63 are possible$/);
    await name('é'.repeat(32), /^node_name is 64 bytes long/);
    await name('knoten-ä', /printable ASCII/);
    await name('two\nlines', /printable ASCII/);
    await name('*', /^node_name "\*" is reserved$/);
    await name('PGKeeper_hold', /is reserved$/);
  });

  test('is refused under another name than the one its worker goes by', async () => {
    const wrong = /^this server is called "n1" by its pg_keeper.node_name, not "n 1"$/;
    const { hint } = await servers.refused(add('n 1', conninfo('n1')), wrong);
    assert.match(hint, /Register it so/);
  });

  test('is refused without a conninfo, or with one that leads nowhere; the reason repeats nothing secret', async () => {
    const target = (text: string | null, message: RegExp) => servers.refused(add('n1', text), message);
    await target(null, /^conninfo must not be NULL$/);
    await target('', /^conninfo must not be empty$/);
    await target(' \t', /does not answer|conninfo must not be empty/);
    const secret = servers.secretConninfo('n1');
    const { hint } = await target(withKeywords(secret, { port: '1' }), /does not answer: Connection refused/);
    assert.match(hint, /Check the conninfo with psql/);
    await target(withKeywords(secret, { password: 'hush, wrong' }), /password authentication failed/);
    await target(withKeywords(secret, { dbname: 'elsewhere' }), /database "\*\*\*" does not exist/);
    await target(withKeywords(secret, { user: 'nobody-known' }), /does not answer: .*"\*\*\*"/);
    await target('host=127.0.0.1 password=hush hush', /does not accept the connection string/);
    await target(`host=127.0.0.1 password='hush`, /does not accept the connection string/);
    await target('postgresql://secretive:hush@127.0.0.1:99999/postgres', /does not answer: /);
    await target('hush', /does not accept the connection string/);
  });

  test('must be the server add_node runs on', async () => {
    const other = (name: string) =>
      servers.refused(
        add('n1', conninfo(name)),
        /must be this server, but the conninfo leads to another one$/,
      );
    assert.match((await other('n2')).text, /The server it leads to is a standby\./);
    assert.match((await other('foreign')).text, /belongs to another cluster/);
    const { hint } = await servers.refused(
      add('n1', conninfo('n1', 'postgres', 'template1')),
      /another database than the one the registry lives in, which is "postgres"$/,
    );
    assert.equal(hint, 'Add dbname=postgres to the conninfo.');
    await servers.refused(
      () => servers.add('n1', conninfo('n1'), servers.get('n2')),
      /^add_node works on the master only, and this server is a standby$/,
    );
  });

  test('may have any name of printable characters, 63 bytes of them', async () => {
    const client = await servers.master.connect();
    try {
      for (const name of oddNames) {
        await client.query('begin');
        await client.query(`select set_config('pg_keeper.node_name', $1, true)`, [name]);
        await client.query('select pgkeeper.add_node($1, $2)', [name, conninfo('n1')]);
        const { rows } = await client.query(
          'select name, is_master from pgkeeper.node_info join pgkeeper.cluster_state on master = name',
        );
        assert.deepEqual(rows, [{ name, is_master: true }]);
        await client.query('rollback');
      }
    } finally {
      await client.end();
    }
    assert.deepEqual(await servers.nodes(), []);
  });

  test('is the master, of the first epoch, and the only voter', async () => {
    await servers.master.query(`select setval('pgkeeper.node_info_seqno_seq', 1, false)`);
    await servers.add('n1', servers.secretConninfo('n1'));
    const [row] = await servers.master.query(
      `select n.*, c.epoch, c.master, c.voters = c.nodes as all_vote, c.nodes, c.promotion_id is not null as named,
              c.system_identifier = (pg_control_system()).system_identifier::text as ours
       from pgkeeper.node_info n, pgkeeper.cluster_state c`,
    );
    const target = servers.secretConninfo('n1');
    assert.deepEqual(row, {
      ...{ seqno: 1, name: 'n1', conninfo: target },
      ...{ is_master: true, is_nextmaster: false, is_sync: false },
      ...{ epoch: '1', master: 'n1', all_vote: true, named: true, ours: true },
      nodes: [{ name: 'n1', kind: 'node', conninfo: target, database: 'postgres', seqno: 1 }],
    });
    const events = await servers.master.query('select node, epoch, code, sentence from pgkeeper.events');
    assert.deepEqual(events, [
      { node: 'n1', epoch: '1', code: 'node-added', sentence: 'n1 was registered as master' },
    ]);
  });
});

describe('a later node', { concurrency: false }, () => {
  test('must be another server of the same cluster', async () => {
    await servers.refused(add('n2', conninfo('n1')), /leads to this server, which is the master "n1"$/);
    await servers.refused(
      add('n2', conninfo('foreign')),
      /^the server belongs to another cluster: its system identifier is \d+, here it is \d+$/,
    );
    await servers.get('foreign').remove();
    await servers.refused(add('n2', conninfo('foreign')), /does not answer: Connection refused$/);
  });

  test('must stream from the master under the name it is registered by', async () => {
    const { hint } = await servers.refused(
      add('x', conninfo('n2')),
      /^the server streams as "n2", not as "x"$/,
    );
    assert.match(hint, /^Set application_name=x in its primary_conninfo/);
    await servers.refused(
      add('n2', conninfo('n2', 'stranger')),
      /may not see under which name the standby streams$/,
    );

    const n3 = servers.get('n3');
    await n3.follow(servers.get('n2'));
    await servers.refused(add('n3', conninfo('n3')), /^no standby streams from this server as "n3"$/);
    await n3.follow(servers.master, 'n2');
    await servers.untilStreaming('n2', 2);
    await servers.refused(add('n2', conninfo('n3')), /^2 servers stream from this server as "n2"$/);
    await n3.follow(null);
    await servers.refused(add('n3', conninfo('n3')), /^the server is a standby but receives no WAL$/);
    await n3.follow(servers.master);
  });

  test('is registered as a standby, has no vote until the worker gives it, and is there once only', async () => {
    await servers.untilStreaming('n2');
    const n2 = servers.get('n2');
    await n2.follow(null);
    // It connects again while it is registered: that is waited for.
    const adding = servers.add('n2', `postgresql://postgres@127.0.0.1:${n2.port}/postgres`);
    await n2.follow(servers.master);
    await adding;
    assert.deepEqual(await servers.nodes(), [
      { seqno: 1, name: 'n1', is_master: true, is_nextmaster: false, is_sync: false },
      { seqno: 2, name: 'n2', is_master: false, is_nextmaster: true, is_sync: false },
    ]);
    const [row] = await servers.master.query(
      'select epoch, jsonb_array_length(voters) as voters, jsonb_array_length(nodes) as nodes from pgkeeper.cluster_state',
    );
    assert.deepEqual(row, { epoch: '1', voters: 1, nodes: 2 });

    const again = await servers.refused(add('n2', conninfo('n2')), /^node "n2" is registered already$/);
    assert.equal(again.code, '42710');
    await servers.refused(
      add('N2', conninfo('n2')),
      /^node "N2" differs only in case from the registered node "n2"$/,
    );
    await servers.get('n2').follow(servers.master, 'other');
    await servers.untilStreaming('other');
    await servers.refused(add('other', conninfo('n2')), /^the server is registered already, as "n2"$/);
    await servers.get('n2').follow(servers.master);
    await servers.untilStreaming('n2');
  });

  test('is found under a name of any printable characters', async () => {
    for (const name of oddNames) {
      await servers.get('n3').follow(servers.master, name);
      await servers.untilStreaming(name);
      await servers.add(name, servers.secretConninfo('n3'));
      assert.equal((await servers.nodes()).at(-1)?.name, name);
      assert.equal(await servers.del(name), true);
    }
    await servers.get('n3').follow(servers.master);
    await servers.untilStreaming('n3');
  });

  test('is registered on the master only; a standby names the master', async () => {
    const n2 = servers.get('n2');
    for (const [statement, what] of [
      [() => servers.add('n3', conninfo('n3'), n2), 'add_node'],
      [() => servers.del('n2', n2), 'del_node'],
      [() => n2.query(`select pgkeeper.indirect_kill('SIGUSR1')`), 'indirect_kill'],
    ] as const) {
      const found = await servers.refused(
        statement,
        /^run this on the master, which is "n1": this server is a standby$/,
      );
      assert.equal(found.code, '25006');
      assert.match(found.hint, new RegExp(`^${what} writes, and a standby takes no writes`));
    }
  });
});

describe('is_sync and is_nextmaster', { concurrency: false }, () => {
  const flags = async () => {
    const rows = await servers.nodes();
    assert.ok(rows.every((row) => !(row.is_master && (row.is_sync || row.is_nextmaster))));
    return {
      sync: rows.filter((row) => row.is_sync).map((row) => row.name),
      next: rows.filter((row) => row.is_nextmaster).map((row) => row.name),
    };
  };

  for (const [names, sync, next] of [
    ['', [], 'n2'],
    ['n3, n2', ['n2', 'n3'], 'n3'],
    ['N3', ['n3'], 'n3'],
    ['"n3"', ['n3'], 'n3'],
    ['1 (n3)', ['n3'], 'n3'],
    ['FIRST 1 (n3, n2)', ['n2', 'n3'], 'n3'],
    ['ANY 1 (n3,n2)', ['n2', 'n3'], 'n3'],
    ['FIRST 1 (n2, n3)', ['n2', 'n3'], 'n2'],
    ['any 1 (stranger, "N3", n1)', ['n3'], 'n3'],
    ['nobody', [], 'n2'],
    ['pgkeeper_hold', [], 'n2'],
  ] as const) {
    test(`follow synchronous_standby_names = '${names}', and nobody waits for a standby that is not there`, async () => {
      await servers.master.changeSettings({ synchronous_standby_names: names });
      await servers.del('n3');
      assert.deepEqual(await flags(), { sync: sync.filter((name) => name !== 'n3'), next: ['n2'] });
      await servers.add('n3', conninfo('n3'));
      assert.deepEqual(await flags(), { sync, next: [next] });
    });
  }

  test('an unknown node is told at once, though every synchronous standby is gone', async () => {
    await servers.master.changeSettings({ synchronous_standby_names: 'nobody' });
    assert.equal(await servers.del('n9'), false);
    assert.equal(await servers.del(99), false);
  });

  test('* is refused, because it leaves open which nodes must have every commit', async () => {
    await servers.master.changeSettings({ synchronous_standby_names: '*' });
    await servers.del('n3');
    await servers.refused(add('n3', conninfo('n3')), /^synchronous_standby_names = '\*' leaves open/);
    await servers.master.changeSettings({ synchronous_standby_names: '' });
    await servers.add('n3', conninfo('n3'));
  });

  test('move on when the next master is removed, and end with the last standby', async () => {
    assert.equal(await servers.del('n2'), true);
    assert.deepEqual(await flags(), { sync: [], next: ['n3'] });
    assert.equal(await servers.del('n3'), true);
    assert.deepEqual(await flags(), { sync: [], next: [] });
    await servers.add('n2', conninfo('n2'));
    await servers.add('n3', conninfo('n3'));
    assert.deepEqual(await flags(), { sync: [], next: ['n2'] });
  });
});

describe('del_node', { concurrency: false }, () => {
  test('removes by exact name or by seqno, with all that was known of the node, and tells an unknown one', async () => {
    await servers.master.query(
      `insert into pgkeeper.node_state (name, state) values ('n3', 'standby:connected')`,
    );
    for (const unknown of ['N3', ' n3', '', 'n9', 0, 99]) assert.equal(await servers.del(unknown), false);
    const seqno = (await servers.nodes()).find(({ name }) => name === 'n3')?.seqno ?? null;
    assert.equal(await servers.del(seqno), true);
    assert.equal(await servers.del(seqno), false);
    const known = await servers.master.query('select name from pgkeeper.node_state');
    assert.deepEqual(known, []);
    const [event] = await servers.master.query(
      'select node, code, sentence from pgkeeper.events order by id desc limit 1',
    );
    assert.deepEqual(event, {
      node: 'n3',
      code: 'node-removed',
      sentence: 'n3 was removed from the registry',
    });
  });

  test('gives no number twice', async () => {
    const numbers = (await servers.nodes()).map(({ seqno }) => seqno);
    await servers.add('n3', conninfo('n3'));
    const added = (await servers.nodes()).at(-1)?.seqno ?? 0;
    assert.ok(added > Math.max(...numbers) + 1, `${added} comes after the removed number`);
  });

  test('refuses the master and NULL', async () => {
    const master = /^node "n1" is the master and cannot be removed$/;
    await servers.refused(() => servers.del('n1'), master);
    await servers.refused(() => servers.del(1), master);
    // By a hand that was let through: who is kept as master by the workers is the master all the same.
    const edit = (is: boolean) =>
      servers.master.query(`${byHand} update pgkeeper.node_info set is_master = ${is} where name = 'n1'`);
    await edit(false);
    await servers.refused(() => servers.del('n1'), master);
    await edit(true);
    await servers.refused(() => servers.del(null), /^the node to remove must not be NULL$/);
    await servers.refused(
      () => servers.master.query('select pgkeeper.del_node(null::integer)'),
      /^the node to remove must not be NULL$/,
    );
  });
});

describe('a server that has left recovery', { concurrency: false }, () => {
  test('is no standby, and no first node on another server either', async () => {
    const n3 = servers.get('n3');
    await servers.del('n3');
    await n3.query('select pg_promote()');
    await servers.refused(
      add('n3', conninfo('n3')),
      /^the server is not a standby: it has left recovery and takes writes$/,
    );
    await servers.master.query(`${byHand} delete from pgkeeper.node_info`);
    const { text } = await servers.refused(add('n1', conninfo('n3')), /must be this server/);
    assert.match(text, /another one with the same system identifier/);
  });
});

test('no server has written a password into its log', () => servers.assertSilentLogs());
