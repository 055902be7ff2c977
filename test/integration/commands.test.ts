/** The commands against a real cluster of three servers with their workers, and against servers that are none of it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { formatDuration } from '../../src/core/duration.js';
import { keeperRole, TestCluster } from '../../src/testbed/cluster.js';
import { until } from '../../src/testbed/until.js';
import { pgkeeper, program, start } from '../support/command-line.js';
import { installation, keepaliveMs } from '../support/failover-cluster.js';
import { failed, parsed } from '../support/outcomes.js';
import { preparedServers } from '../support/prepared-servers.js';

interface StatusJson {
  readonly epoch: number;
  readonly master: string;
  readonly sync: string;
  readonly quorum: { readonly voters: number; readonly needed: number; readonly held: number };
  readonly nodes: readonly {
    readonly name: string;
    readonly role: string;
    readonly state: string;
    readonly reachable: boolean;
    readonly is_nextmaster: boolean;
    readonly is_sync: boolean;
    readonly timeline: number | null;
    readonly lag_bytes: number | null;
  }[];
}

describe('commands on a cluster of three', { concurrency: false }, () => {
  const cluster = new TestCluster({
    nodes: 3,
    installation,
    program,
    keepaliveTime: formatDuration(keepaliveMs),
    ...preparedServers(),
    syncNames: 'n2, n3',
  });
  const server = (name: string) => cluster.node(name).server;
  const at = (name: string, user: string = keeperRole) => ['-d', server(name).conninfo(user)];

  before(async () => {
    await cluster.create();
    // A server younger than lease_ttl gives its vote to nobody.
    await until('all votes are held', async () => {
      const outcome = await pgkeeper(['status', '--json', ...at('n1')]);
      return parsed<StatusJson>(outcome).quorum.held === 3;
    });
  });
  after(() => cluster.remove());

  test('status shows the same cluster from every node', async () => {
    for (const name of ['n1', 'n2', 'n3']) {
      const status = parsed<StatusJson>(await pgkeeper(['status', '--json', ...at(name)]));
      assert.equal(status.master, 'n1');
      assert.equal(status.sync, 'on');
      assert.deepEqual(status.quorum, { voters: 3, needed: 2, held: 3 });
      assert.deepEqual(
        status.nodes.map((node) => [node.name, node.role, node.state, node.reachable]),
        [
          ['n1', 'master', 'master:connected', true],
          ['n2', 'standby', 'standby:connected', true],
          ['n3', 'standby', 'standby:connected', true],
        ],
      );
      assert.equal(status.nodes.filter((node) => node.is_nextmaster).length, 1);
      assert.deepEqual(
        status.nodes.filter((node) => node.is_sync).map((node) => node.name),
        ['n2', 'n3'],
      );
    }
  });

  test('status on a terminal line by line names every node', async () => {
    const { out, code } = await pgkeeper([
      'status',
      '-h',
      server('n2').host,
      '-p',
      String(server('n2').port),
      '-U',
      keeperRole,
      '-d',
      'postgres',
    ]);
    assert.equal(code, 0);
    assert.match(out, /^master n1 {3}epoch 1 {3}sync on {3}votes held 3 of 3, 2 needed/);
    for (const name of ['n1', 'n2', 'n3']) assert.match(out, new RegExp(`^${name} `, 'm'));
  });

  test('check finds nothing wrong with a healthy cluster and shows each setting with its source', async () => {
    // On a busy machine a server may not answer in time, or a worker not have had its turn.
    const report = await until('check finds nothing', async () => {
      const found = parsed<{
        ok: boolean;
        findings: { level: string }[];
        settings: { name: string; value: string; source: string }[];
      }>(await pgkeeper(['check', '--json', ...at('n1')]));
      assert.deepEqual(
        found.findings.filter((finding) => finding.level !== 'ok'),
        [],
      );
      return found;
    });
    assert.equal(report.ok, true);
    const keepalive = report.settings.find((setting) => setting.name === 'pg_keeper.keepalive_time');
    assert.equal(keepalive?.value, formatDuration(keepaliveMs));
    assert.match(keepalive?.source ?? '', /testbed\.conf line \d+$/);
  });

  test('check names what a change broke, with the statement that mends it, and exits 1', async () => {
    await server('n1').changeSettings({ synchronous_standby_names: '*' });
    const outcome = await pgkeeper(['check', ...at('n1')]);
    await server('n1').changeSettings({ synchronous_standby_names: 'n2, n3' });
    assert.equal(outcome.code, 1);
    assert.match(
      outcome.out.replace(/\s+/g, ' '),
      /PROBLEM synchronous_standby_names = '\*'.*-> in postgresql\.conf: synchronous_standby_names = '"n2", "n3"'/,
    );
  });

  test('check and status tell that a worker is gone', async () => {
    await cluster.node('n3').worker.kill();
    try {
      const outcome = await until('the session of the worker is gone', async () => {
        const found = await pgkeeper(['check', ...at('n1')]);
        return found.code === 1 ? found : null;
      });
      assert.match(outcome.out, /no worker runs beside it/);
      const explained = parsed<{ would_promote: string; places: { name: string; reason: string }[] }>(
        await pgkeeper(['explain', '--json', ...at('n2')]),
      );
      assert.equal(explained.would_promote, 'n2');
      assert.match(explained.places.find((place) => place.name === 'n3')?.reason ?? '', /no running worker/);
    } finally {
      cluster.node('n3').worker.start();
    }
    await cluster.untilSettled('n1');
  });

  test('explain says who would be promoted and why, from a standby too', async () => {
    // What the worker that came back has written arrives at one standby before the other.
    const { out, code } = await until('both standbys have the same data', async () => {
      const outcome = await pgkeeper(['explain', ...at('n3')]);
      return /both\s+have\s+the\s+same\s+data/.test(outcome.out) ? outcome : null;
    });
    assert.equal(code, 0);
    assert.match(
      out.replace(/\s+/g, ' '),
      /Master of epoch 1 is n1\. If it failed now, n2 would be promoted/,
    );
    assert.match(out, /Votes: 2 of 3 would be there, 2 are needed/);
    assert.ok(out.includes(`T = ${formatDuration(3 * keepaliveMs)}`), out);
    assert.doesNotMatch(out, /[Bb]locked|is off\b/);
  });

  test('uri has every node, no password unless asked, and leads to the master', async () => {
    const { out } = await pgkeeper(['uri', ...at('n2')]);
    const ports = ['n1', 'n2', 'n3'].map((name) => `${server(name).host}:${server(name).port}`);
    assert.equal(
      out.trim(),
      `postgresql://${keeperRole}@${ports.join(',')}/postgres?target_session_attrs=read-write`,
    );
    const status = parsed<StatusJson>(await pgkeeper(['status', '--json', '-d', out.trim()]));
    assert.equal(status.master, 'n1');
    const asked = parsed<{ uri: string }>(
      await pgkeeper(['uri', '--json', '--with-password', ...at('n2')], { PGPASSWORD: 's p&' }),
    );
    assert.match(asked.uri, /^postgresql:\/\/pgkeeper:s%20p%26@/);
  });

  test('del-node and add-node wait until the vote has changed, and events --follow sees both', async () => {
    const following = start(['events', '--follow', '--json', '--limit', '1', ...at('n1')]);
    await until('the first event is shown', () => following.out().includes('\n'));
    const removed = await pgkeeper(['del-node', 'n3', ...at('n1')]);
    assert.equal(removed.code, 0, removed.err);
    assert.match(removed.err, /n3 is removed and has no vote any more/);
    assert.deepEqual(parsed<StatusJson>(await pgkeeper(['status', '--json', ...at('n2')])).quorum.voters, 2);
    for (const look of ['status', 'explain'])
      assert.match(
        (await pgkeeper([look, ...at('n3')])).out.replace(/\s+/g, ' '),
        /n3, the server asked, is no node any more: it was removed at \d{4}-/,
      );
    const added = await pgkeeper([
      'add-node',
      'n3',
      server('n3').conninfo(keeperRole),
      '--timeout',
      '30s',
      ...at('n1'),
    ]);
    assert.equal(added.code, 0, added.err);
    assert.match(added.err, /n3 is registered and has a vote/);
    await until('both events are followed', () =>
      ['node-removed', 'node-added'].every((code) => following.out().includes(`"code":"${code}"`)),
    );
    following.child.kill('SIGINT');
    assert.equal(await following.ended, 0);
    await cluster.untilSettled('n1');
  });

  test('events shows the newest, oldest first, and of one node if asked', async () => {
    const events = parsed<{ id: number; node: string; code: string; at: string }[]>(
      await pgkeeper(['events', '--json', '--limit', '5', ...at('n2')]),
    );
    assert.equal(events.length, 5);
    assert.deepEqual(
      events.map((event) => event.id),
      events.map((event) => event.id).toSorted((a, b) => a - b),
    );
    const ofOne = parsed<{ node: string }[]>(
      await pgkeeper(['events', '--json', '--node', 'n2', ...at('n2')]),
    );
    assert.ok(ofOne.length > 0 && ofOne.every((event) => event.node === 'n2'));
  });

  test('what cannot be registered is refused with a reason, and nothing is stored', async () => {
    const add = (name: string, conninfo: string, on = 'n1') =>
      pgkeeper(['add-node', name, conninfo, ...at(on)]);
    const n3 = server('n3').conninfo(keeperRole);
    failed(await add('', n3), 2, /must not be empty/);
    failed(await add('x'.repeat(64), n3), 2, /64 bytes long, at most 63/);
    failed(await add('n4', ''), 2, /conninfo must not be empty/);
    failed(await add('n4', "host=a password=hush it's"), 2, /single quotes/);
    failed(
      await add('n3', n3),
      4,
      /registered already[\s\S]*UPDATE pgkeeper\.node_info SET conninfo = '\.\.\.' WHERE name = 'n3'/,
    );
    failed(await add('it\'s "n4"', n3), 4, /streams as "n3", not as "it's "n4""/);
    failed(await add('n4', n3, 'n2'), 4, /run this on the master, which is "n1"/);
    failed(await add('n4', 'host=127.0.0.1 port=1'), 3, /does not answer: Connection refused/);
    failed(await pgkeeper(['del-node', 'n1', ...at('n1')]), 4, /is the master and cannot be removed/);
    failed(await pgkeeper(['del-node', '--seqno', '999', ...at('n1')]), 2, /seqno 999/);
    failed(await pgkeeper(['del-node', ...at('n1')]), 2, /--seqno/);
    const rows = await server('n1').query<{ name: string }>(
      'select name from pgkeeper.node_info order by name',
    );
    assert.deepEqual(
      rows.map((row) => row.name),
      ['n1', 'n2', 'n3'],
    );
  });

  test('every command refuses alike what is alike', async () => {
    const unknown = /no node is registered as "?nobody/;
    const onMaster = /is the master( |$)|is master |is the master already/m;
    const cases: readonly (readonly [line: string, on: string, code: number, said: RegExp])[] = [
      ['del-node nobody', 'n1', 2, unknown],
      ['switchover nobody', 'n1', 2, unknown],
      ['switchover nobody --dry-run', 'n1', 2, unknown],
      ['failover nobody --yes', 'n1', 2, unknown],
      ['maintenance nobody on', 'n1', 2, unknown],
      ['priority nobody 1', 'n1', 2, unknown],
      ['events --node nobody', 'n1', 2, unknown],
      ['events --node nobody --follow', 'n1', 2, unknown],
      ['del-witness nobody', 'n1', 2, /no witness is registered as nobody/],
      ['add-witness n2 host=127.0.0.1', 'n1', 4, /registered already/],
      ['switchover n1', 'n1', 2, onMaster],
      ['switchover n1 --dry-run', 'n1', 2, onMaster],
      ['failover n1 --yes', 'n1', 4, /n1 is master already/],
      ['failover n2 --yes', 'n1', 4, /n1 is master of epoch[\s\S]*: pgkeeper switchover n2/],
      ['maintenance n1 on', 'n1', 4, /is the master[\s\S]*: pgkeeper switchover/],
      ['priority n2 9999999', 'n1', 2, /priority: 9999999 is out of range[\s\S]*default: the setting/],
      ...['del-node n3', 'del-witness w', 'switchover', 'pause', 'maintenance n3 on', 'priority n3 1'].map(
        (line) => [line, 'n2', 4, /run this on the master, which is "n1"/] as const,
      ),
      [`worker -D ${server('n2').dataDirectory}`, 'n2', 4, /another worker runs for/],
    ];
    for (const [line, on, code, said] of cases) {
      const outcome = await pgkeeper([...line.split(' '), ...at(on)]);
      failed(outcome, code, said);
      assert.doesNotMatch(outcome.err, /SELECT pgkeeper|pgkeeper\.\w+\(/, line);
    }
  });

  test('a worker whose connection leads to another server than its data directory is refused', async () => {
    failed(
      await pgkeeper(['worker', '-D', server('n2').dataDirectory, ...at('n3')]),
      2,
      /is not that of the server the connection leads to/,
    );
  });

  test('a worker takes up changed settings on SIGHUP, and keeps the old ones if the new are wrong', async () => {
    const { worker } = cluster.node('n3');
    const log = () => readFileSync(worker.logPath, 'utf8');
    await server('n3').changeSettings({ 'pg_keeper.priority': '50' });
    worker.signal('SIGHUP');
    await until('the new priority is taken', () => /"priority":50.*"settings changed"/.test(log()));
    await server('n3').changeSettings({ 'pg_keeper.lease_ttl': '1h' });
    worker.signal('SIGHUP');
    await until('the wrong lease is refused', () =>
      /settings are refused, the old ones stay.*1h must be shorter/.test(log()),
    );
    assert.ok(worker.isRunning());
    await server('n3').changeSettings({ 'pg_keeper.lease_ttl': '2s', 'pg_keeper.priority': '100' });
    worker.signal('SIGHUP');
    await until('the old priority is back', () => /"priority":100[^\n]*"settings changed"/.test(log()));
  });

  test('a worker ends with 0 on SIGTERM and may be started before its server', async () => {
    const { worker } = cluster.node('n3');
    assert.equal(await worker.stop(), 0);
    await server('n3').stop();
    const since = Date.now();
    worker.start();
    await worker.untilDecision('server-lost', since);
    await server('n3').start();
    await worker.untilDecision('standby-connected', since);
    await cluster.untilSettled('n1');
  });

  test('status works on a standby that is all alone', async () => {
    for (const name of ['n1', 'n2']) await cluster.node(name).worker.kill();
    for (const name of ['n1', 'n2']) await server(name).stop('immediate');
    const status = parsed<StatusJson>(await pgkeeper(['status', '--json', ...at('n3')]));
    assert.deepEqual(
      status.nodes.map((node) => [node.name, node.role, node.reachable]),
      [
        ['n1', 'master', false],
        ['n2', 'standby', false],
        ['n3', 'standby', true],
      ],
    );
    const { out } = await pgkeeper(['explain', ...at('n3')]);
    assert.match(out, /nobody would be promoted/);
    assert.match(out, /no majority: 1 of 3/);
    assert.equal((await pgkeeper(['check', ...at('n3')])).code, 1);
  });
});
