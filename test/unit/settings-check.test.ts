/** What is wrong with a set of settings, all at once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Judged, judge, nodeNameProblem } from '../../src/settings/check.js';
import { maskConsoles } from '../../src/settings/pgbouncer.js';
import { coreSettingsOf, type SettingName } from '../../src/settings/settings.js';
import { mergeEntries } from '../../src/settings/sources.js';

type Given = Partial<Record<SettingName, string>>;

function judged(given: Given, ownConninfo = ''): Judged {
  const entries = Object.entries(given).map(([name, text]) => ({
    name: name as SettingName,
    text,
    source: { kind: 'flag' as const, flag: `--${name}` },
  }));
  return judge(mergeEntries([entries]), { ownConninfo, dataDirectory: '/data' });
}

function problemsOf(given: Given): readonly string[] {
  return judged({ node_name: 'n1', ...given }).problems;
}

test('with a name alone every setting has its documented default', () => {
  const { settings, problems } = judged({ node_name: 'n1' });
  assert.deepEqual(problems, []);
  assert.equal(settings?.keepaliveTimeMs, 5000);
  assert.equal(settings?.keepaliveCount, 3);
  assert.equal(settings?.leaseTtlMs, 10_000, '2/3 of T');
  assert.equal(settings?.fastFailover, true);
  assert.equal(settings?.quorum, 'auto');
  assert.equal(settings?.priority, 100);
  assert.equal(settings?.afterCommand, '');
  assert.equal(settings?.startupGraceMs, 30_000);
  assert.equal(settings?.eventRetentionMs, 90 * 86_400_000);
  assert.equal(settings?.manageSlots, true);
  assert.equal(settings?.binDirectory, null);
});

test('events may be kept longer than any timer counts, or for ever', () => {
  const retention = (text: string) =>
    judged({ node_name: 'n1', event_retention: text }).settings?.eventRetentionMs;
  assert.equal(retention('3650d'), 3650 * 86_400_000);
  assert.equal(retention('0'), 0);
  assert.match(problemsOf({ event_retention: '40000d' })[0] ?? '', /too long; at most 36500d/);
  assert.match(problemsOf({ startup_grace: '90d' })[0] ?? '', /too long/);
});

test('PgBouncers are named by one admin console each', () => {
  const consoles = (text: string) => judged({ node_name: 'n1', pgbouncer: text }).settings?.pgbouncer;
  assert.deepEqual(consoles(''), []);
  assert.deepEqual(consoles("host=a port=6432 user=k password='x;y z' ;\n host=b port=6432 user=k\n"), [
    "host=a port=6432 user=k password='x;y z' dbname=pgbouncer",
    'host=b port=6432 user=k dbname=pgbouncer',
  ]);
  assert.deepEqual(consoles('postgresql://k:p@a:6432/pgbouncer'), [
    'user=k password=p dbname=pgbouncer host=a port=6432',
  ]);
  const refused = (text: string) => problemsOf({ pgbouncer: text })[0] ?? '';
  assert.match(
    refused('host=a user=k'),
    /pg_keeper\.pgbouncer \(--pgbouncer\): port missing; each PgBouncer needs/,
  );
  assert.match(refused('host=a port=1 user=k; port=2'), /number 2: host, user missing/);
  assert.match(refused('host=a,b port=1 user=k'), /separated by ;/);
  assert.match(refused('host=a port=1 user=k dbname=app'), /the admin console is dbname=pgbouncer/);
  assert.match(refused('host=a port=1 user=k; host=a port=1 user=l'), /a:1 is named twice/);
  assert.doesNotMatch(refused('host=a password=geheim'), /geheim/);
  assert.doesNotMatch(refused('host=a user=k port=1 password=ge heim'), /heim/);
  assert.match(problemsOf({ pgbouncer_timeout: '2min' })[0] ?? '', /at most 1min/);
});

test('what is shown of PgBouncers holds no password', () => {
  const shown = maskConsoles("host=a port=1 user=k password='x;y z';postgresql://k:geheim@b:2/pgbouncer");
  assert.doesNotMatch(shown, /x;y|geheim/);
  assert.match(shown, /host=a.*@b:2/);
});

test('the decisions know whether there is a PgBouncer', () => {
  const core = (given: Given) => {
    const { settings } = judged({ node_name: 'n1', ...given });
    assert.ok(settings !== null);
    return coreSettingsOf(settings, 1).poolPauseMs;
  };
  assert.equal(core({}), 0);
  assert.equal(core({ pgbouncer: 'host=a port=1 user=k', pgbouncer_timeout: '2s' }), 2000);
});

test('a missing name is a problem that says where it belongs', () => {
  assert.match(judged({}).problems[0] ?? '', /node_name is not set.*postgresql\.conf/);
});

test('lease_ttl must be shorter than T, and the message shows both values', () => {
  const [problem] = problemsOf({ lease_ttl: '15s' });
  assert.match(
    problem ?? '',
    /15s must be shorter than the failover time T = 15s \(keepalive_time 5s x keepalive_count 3\)/,
  );
  assert.deepEqual(problemsOf({ lease_ttl: '14999ms' }), []);
});

test('a T too short for any lease is refused even where lease_ttl was left alone', () => {
  assert.match(
    problemsOf({ keepalive_time: '60ms', keepalive_count: '2' })[0] ?? '',
    /T = 120ms.*too short.*80ms.*150ms/,
  );
  assert.deepEqual(problemsOf({ keepalive_time: '100ms', keepalive_count: '3' }), []);
});

test('all problems are told at once, each with value and source', () => {
  const problems = problemsOf({
    keepalive_time: 'soon',
    keepalive_count: '1.5',
    quorum: 'most',
    fast_failover: 'perhaps',
    priority: '-1',
    log_level: 'loud',
    command_timeout: '0',
  });
  assert.equal(problems.length, 7);
  assert.ok(
    problems.every((problem) => /^pg_keeper\.\w+ = '.*' \(--\w+\): /.test(problem)),
    problems.join('\n'),
  );
});

test("PostgreSQL's spellings of on and off are read", () => {
  for (const text of ['on', 'TRUE', 'yes', '1'])
    assert.equal(judged({ node_name: 'n', fast_failover: text }).settings?.fastFailover, true);
  for (const text of ['off', 'False', 'no', '0'])
    assert.equal(judged({ node_name: 'n', fast_failover: text }).settings?.fastFailover, false);
});

test('start_command without stop_command is refused, and the other way round', () => {
  assert.match(problemsOf({ start_command: 'systemctl start pg' })[0] ?? '', /give both or none/);
  assert.match(problemsOf({ stop_command: 'systemctl stop pg' })[0] ?? '', /give both or none/);
  assert.deepEqual(problemsOf({ start_command: 'a', stop_command: 'b' }), []);
});

test('names that PostgreSQL could not show are refused', () => {
  assert.equal(nodeNameProblem('n1'), null);
  assert.equal(nodeNameProblem('it\'s "n 1"'), null);
  assert.equal(nodeNameProblem('x'.repeat(63)), null);
  assert.match(nodeNameProblem('x'.repeat(64)) ?? '', /64 bytes/);
  assert.match(nodeNameProblem('  ') ?? '', /empty/);
  assert.match(nodeNameProblem('knöten') ?? '', /ASCII/);
  assert.match(nodeNameProblem('*') ?? '', /reserved/);
  assert.match(nodeNameProblem('PgKeeper_Hold') ?? '', /reserved/);
});

test('a conninfo that cannot be read is told without its text', () => {
  const [problem] = judged({ node_name: 'n1' }, "host=a password='secret").problems;
  assert.match(problem ?? '', /own server: unterminated/);
  assert.doesNotMatch(problem ?? '', /secret/);
});

test('what was derived is shown with where it came from', () => {
  const { values } = judged({ node_name: 'n1', keepalive_time: '1s' });
  assert.deepEqual(values.get('lease_ttl'), {
    name: 'lease_ttl',
    text: '2s',
    source: { kind: 'derived', from: '2/3 of T' },
  });
});

test('decisions get the settings they depend on', () => {
  const { settings } = judged({ node_name: 'n1', fencing_command: 'true', priority: '0' });
  assert.ok(settings);
  const core = coreSettingsOf(settings, 7);
  assert.equal(core.name, 'n1');
  assert.equal(core.fencingCommand, true);
  assert.equal(core.priority, 0);
  assert.equal(core.seed, 7);
});
