/** What `check` concludes from the facts of a server and of a cluster. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findingsOfCluster } from '../../src/cli/check/check-cluster.js';
import type { Reach, ServerFacts } from '../../src/cli/check/check-facts.js';
import { reportLines, settingRows } from '../../src/cli/check/check-report.js';
import { findingsOfServer, type ServerContext } from '../../src/cli/check/check-server.js';
import { about, type Finding } from '../../src/cli/check/finding.js';
import { judge } from '../../src/settings/check.js';
import { mergeEntries } from '../../src/settings/sources.js';
import { clusterOf, factsOfServer, gone, goodSettings, voterOf } from '../support/cluster-looks.js';

const context: ServerContext = {
  programVersion: '0.1.0',
  others: ['n1', 'n3'],
  registered: true,
  hasPassword: false,
};

function bad(findings: readonly Finding[]): readonly Finding[] {
  return findings.filter((finding) => finding.level !== 'ok');
}

function judged(
  changes: Partial<ServerFacts>,
  name = 'n2',
  given: Partial<ServerContext> = {},
): readonly Finding[] {
  return bad(findingsOfServer(factsOfServer(name, changes), { ...context, ...given }));
}

function withSetting(name: string, value: string, source = 'configuration file'): Partial<ServerFacts> {
  return { settings: { ...goodSettings, [name]: { value, source } } };
}

function only(findings: readonly Finding[]): Finding {
  assert.equal(findings.length, 1, JSON.stringify(findings));
  return findings[0] ?? assert.fail();
}

test('a server that has all it needs has no problem and no warning', () => {
  assert.deepEqual(judged({}), []);
  assert.deepEqual(judged({}, 'n1', { others: ['n2', 'n3'] }), []);
});

const prerequisites: readonly (readonly [string, string, RegExp])[] = [
  ['hot_standby', 'off', /ALTER SYSTEM SET hot_standby = on; then restart/],
  ['wal_level', 'minimal', /ALTER SYSTEM SET wal_level = replica; then restart/],
  ['wal_log_hints', 'off', /ALTER SYSTEM SET wal_log_hints = on; then restart/],
  ['full_page_writes', 'off', /ALTER SYSTEM SET full_page_writes = on/],
  ['max_wal_senders', '1', /ALTER SYSTEM SET max_wal_senders = 10/],
  ['synchronous_commit', 'local', /ALTER SYSTEM SET synchronous_commit = on/],
  ['allow_alter_system', 'off', /allow_alter_system = on/],
];
for (const [name, value, mend] of prerequisites) {
  test(`${name} = ${value} is a problem, with the statement that mends it`, () => {
    const finding = only(judged(withSetting(name, value)));
    assert.equal(finding.level, 'problem');
    assert.equal(finding.topic, name);
    assert.match(finding.mend ?? '', mend);
  });
}

test('data checksums make wal_log_hints needless', () => {
  const settings = {
    ...goodSettings,
    wal_log_hints: { value: 'off', source: null },
    data_checksums: { value: 'on', source: null },
  };
  assert.deepEqual(judged({ settings }), []);
});

test('* in synchronous_standby_names is a problem, and the names to write instead are given', () => {
  const finding = only(judged({ syncWish: '*', ...withSetting('synchronous_standby_names', '*') }));
  assert.equal(finding.level, 'problem');
  assert.match(finding.mend ?? '', /synchronous_standby_names = '"n1", "n3"'/);
});

test('a wished name that is no node is warned about, ignoring case as PostgreSQL does', () => {
  assert.deepEqual(judged({ syncWish: 'N1, n3' }), []);
  assert.match(only(judged({ syncWish: 'n1, n9' })).text, /"n9", which is no registered node/);
});

test('a standby that streams under another name than its own is a problem', () => {
  const finding = only(
    judged({ receiver: { status: 'streaming', host: 'n1', port: 1, name: 'walreceiver' } }),
  );
  assert.equal(finding.topic, 'application_name');
  assert.match(finding.mend ?? '', /ALTER SYSTEM SET primary_conninfo = .*application_name=n2/);
});

test('a standby without WAL, and one with its replay paused, are problems', () => {
  assert.equal(only(judged({ receiver: null })).topic, 'streaming');
  assert.match(only(judged({ replayPaused: true })).mend ?? '', /pg_wal_replay_resume/);
});

test('each missing right is named with its GRANT', () => {
  const finding = only(judged({ missingGrants: ['GRANT pg_monitor TO pgkeeper;'] }));
  assert.match(finding.mend ?? '', /GRANT pg_monitor TO pgkeeper;.*grants\.sql/);
  assert.match(only(judged({ replication: false })).mend ?? '', /ALTER ROLE "pgkeeper" REPLICATION/);
});

test('before PostgreSQL 15 only a superuser will do', () => {
  const found = judged({ versionNum: 140_010, version: '14.10' });
  assert.match(only(found).mend ?? '', /SUPERUSER/);
  assert.deepEqual(judged({ versionNum: 140_010, version: '14.10', superuser: true }), []);
});

test('a role that is no superuser needs a password in the conninfo, or the right to do without', () => {
  assert.match(only(judged({ dblinkWithoutPassword: false })).text, /only with a password/);
  assert.deepEqual(judged({ dblinkWithoutPassword: false }, 'n2', { hasPassword: true }), []);
});

test('missing objects, a missing dblink and another version of the objects are problems', () => {
  assert.match(
    only(judged({ schema: { kind: 'missing' } })).mend ?? '',
    /CREATE EXTENSION pg_keeper CASCADE/,
  );
  assert.match(only(judged({ dblink: false })).mend ?? '', /CREATE EXTENSION dblink/);
  assert.match(
    only(judged({ schema: { kind: 'extension', version: '0.2.0' } })).mend ?? '',
    /newer pgkeeper/,
  );
});

test('a setting given on the command line of the server cannot be changed, and that is a problem', () => {
  const finding = only(judged(withSetting('synchronous_standby_names', 'n1', 'command line')));
  assert.match(finding.text, /command line/);
});

test('a server too old is a problem, one too new a warning', () => {
  assert.equal(judged({ versionNum: 130_001, superuser: true })[0]?.level, 'problem');
  assert.equal(only(judged({ versionNum: 190_001 })).level, 'warning');
});

test('findings come first, then every setting with its source, and the verdict is last', () => {
  const source = { kind: 'flag', flag: '--priority' } as const;
  const values = mergeEntries([[{ name: 'priority', text: '7', source }]]);
  const where = { ownConninfo: 'host=a', dataDirectory: null };
  const settings = { ...judge(values, where), ...where, notes: [], server: { kind: 'asked' } as const };
  const findings = [
    about('problem', 'n2', 'streaming', 'no stream', 'mend it'),
    about('ok', 'n2', 'x', 'fine'),
  ];
  const lines = reportLines({ settings, servers: [], cluster: null, findings });
  assert.equal(lines[0], 'n2:');
  assert.equal(lines.at(-1), '1 problem, 0 warnings');
  const text = lines.join('\n');
  assert.match(
    text,
    /PROBLEM no stream\n +-> mend it\n\nSettings of this server[\s\S]*priority +7 +--priority/,
  );
  for (const { name, value, source } of settingRows(settings)) {
    const line = lines.find((candidate) => candidate.includes(name)) ?? '';
    assert.ok(line.includes(source), `${name}: ${line}`);
    if (value !== null) assert.ok(line.includes(value), `${name}: ${line}`);
  }
});

const allFacts = ['n1', 'n2', 'n3'].map((name) => factsOfServer(name));
const allReach: readonly Reach[] = ['n1', 'n2', 'n3'].flatMap((from) =>
  ['n1', 'n2', 'n3'].filter((to) => to !== from).map((to) => ({ from, to, reached: true, problem: null })),
);

function across(
  cluster = clusterOf(),
  facts: readonly ServerFacts[] = allFacts,
  reach: readonly Reach[] = allReach,
): readonly Finding[] {
  return bad(findingsOfCluster(cluster, facts, reach)).filter(
    (finding) => !(finding.topic === 'node_name' && finding.level === 'warning'),
  );
}

test('a healthy cluster has no problem and no warning', () => {
  assert.deepEqual(across(), []);
});

test('a standby with less than its master is a problem, with more a warning', () => {
  const less = factsOfServer('n2', withSetting('max_connections', '50'));
  const found = only(across(clusterOf(), [allFacts[0] ?? less, less]));
  assert.equal(found.level, 'problem');
  assert.match(found.mend ?? '', /on n2: ALTER SYSTEM SET max_connections = 100/);
  const more = factsOfServer('n2', withSetting('max_connections', '200'));
  assert.equal(only(across(clusterOf(), [allFacts[0] ?? more, more])).level, 'warning');
});

test('a link that is down one way is a problem of the side that cannot reach', () => {
  const reach = allReach.map((one) =>
    one.from === 'n2' && one.to === 'n3' ? { ...one, reached: false } : one,
  );
  const found = only(across(clusterOf(), allFacts, reach));
  assert.equal(found.node, 'n2');
  assert.match(found.text, /does not reach n3/);
});

test('a server out of reach from here alone is a warning, from everywhere a problem, told once', () => {
  const cluster = clusterOf({ n3: { failure: gone } });
  const others = allReach.filter((one) => one.from !== 'n3');
  assert.equal(
    across(cluster, allFacts.slice(0, 2), others).find((one) => one.topic === 'reachability')?.level,
    'warning',
  );
  const lost = others.map((one) => (one.to === 'n3' ? { ...one, reached: false } : one));
  const found = across(cluster, allFacts.slice(0, 2), lost).filter((one) => one.topic === 'reachability');
  assert.match(only(found).text, /nor from n1, n2/);
});

test('a server that refuses the password is not said to be down', () => {
  const refused = { kind: 'auth' as const, message: 'password authentication failed for user "pgkeeper"' };
  const cluster = clusterOf({ n3: { failure: refused } });
  const found = across(cluster, allFacts.slice(0, 2), []).filter((one) => one.topic === 'reachability');
  assert.match(only(found).mend ?? '', /password in its conninfo in pgkeeper\.node_info/);
  assert.doesNotMatch(only(found).mend ?? '', /if it is down/);
});

test('the longest lease of any node must be shorter than the shortest T of any', () => {
  const slow = { look: { keeperSettings: { keepalive_time: '20s' } } };
  const found = across(clusterOf({ n2: slow })).find((one) => one.topic === 'lease_ttl');
  assert.equal(found?.level, 'problem');
  assert.match(found?.text ?? '', /40s on n2.*15s on n1/);
});

test('a setting that cannot be used on one node is a problem of that node', () => {
  const found = across(clusterOf({ n3: { look: { keeperSettings: { lease_ttl: '1h' } } } }));
  assert.equal(only(found).node, 'n3');
  assert.match(only(found).text, /1h must be shorter/);
});

test('a server registered under another name than its own is a problem', () => {
  const found = across(clusterOf({ n2: { observation: { nodeName: 'nx' } } }));
  assert.match(only(found).mend ?? '', /^in postgresql.conf of n2: pg_keeper\.node_name = 'n2'/);
  const swapped = across(clusterOf({ n2: { observation: { nodeName: 'n3' } } }));
  assert.match(only(swapped).mend ?? '', /^its conninfo leads to the server of n3/);
});

test('a clock that is off is a warning, within the time of the answer it is not', () => {
  assert.equal(only(across(clusterOf({ n2: { look: { clockOffsetMs: 5000 } } }))).level, 'warning');
  assert.deepEqual(across(clusterOf({ n2: { look: { clockOffsetMs: 1400, roundTripMs: 1000 } } })), []);
});

test('no worker beside a server is a problem', () => {
  const found = across(clusterOf({ n2: { state: null } }));
  assert.match(found.find((one) => one.topic === 'worker')?.text ?? '', /cannot be promoted/);
});

test('two nodes without a witness: a warning, and with quorum = strict a problem', () => {
  const pair = [voterOf('n1', 1), voterOf('n2', 2)];
  const of = { voters: pair, nodes: pair, syncMembers: ['n2'] };
  const facts = allFacts.slice(0, 2);
  assert.equal(across(clusterOf({}, of), facts, []).find((one) => one.topic === 'quorum')?.level, 'warning');
  const strict = { look: { keeperSettings: { quorum: 'strict' } } };
  const found = across(clusterOf({ n1: strict, n2: strict }, of), facts, []);
  assert.equal(found.find((one) => one.topic === 'quorum')?.level, 'problem');
  const mixed = across(clusterOf({ n1: strict }, of), facts, []);
  assert.match(mixed.map(({ text }) => text).join(), /strict on n1 and auto on n2, and each goes by its own/);
  assert.doesNotMatch(found.map(({ text }) => text).join(), /each goes by its own/);
  assert.doesNotMatch(mixed.map(({ text }) => text).join(), /two masters|quorum = strict/, 'neither holds');
});

test('every node but the master with priority 0 is a problem, with the command that mends it', () => {
  const never = { observation: { priority: 0 } };
  const found = across(clusterOf({ n2: never, n3: never }));
  const failover = found.find(({ topic }) => topic === 'failover') ?? assert.fail();
  assert.equal(failover.level, 'problem');
  assert.match(failover.text, /nobody may be promoted: .*priority/);
  assert.match(failover.mend ?? '', /pgkeeper priority n2 100/);
});

test('a witness that a copy of the cluster or another cluster uses too', () => {
  const identity = { token: 't', systemIdentifier: '9', timeline: 1, address: 'x:1' };
  const witness = { ...voterOf('w', 4), kind: 'witness' as const, identity };
  const voters = [voterOf('n1', 1), voterOf('n2', 2), witness];
  const observation = { systemIdentifier: '9', timeline: 1, address: 'x:1', inRecovery: false };
  const beside = (workers: { name: string; places: number }[], clusters = 0) => {
    const look = { neighbours: { workers, clusters } };
    const of = { voters, nodes: voters, syncMembers: ['n2'] };
    const found = across(clusterOf({ w: { observation, look } }, of), allFacts.slice(0, 2), []);
    return found.filter((one) => one.topic === 'witness' && one.level === 'warning').map(({ text }) => text);
  };
  const usual = [{ name: 'n1', places: 1 }];
  assert.equal(beside(usual).filter((text) => /copy|shared/.test(text)).length, 0);
  assert.match(beside([{ name: 'n1', places: 2 }]).join(' '), /n1 from 2 addresses/);
  assert.match(
    beside([...usual, { name: 'x', places: 1 }]).join(' '),
    /\(x\): of a copy of this cluster, .* or of a node that was removed/,
  );
  assert.match(beside(usual, 2).join(' '), /shared with 2 other clusters/);
});

test('a degraded cluster, and one whose lease is not held, are in danger', () => {
  assert.ok(
    across(clusterOf({}, { syncNeeded: 0 })).some((one) => one.topic === 'sync' && one.level === 'problem'),
  );
  const none = { look: { voteHolder: null } };
  const found = across(clusterOf({ n1: none, n2: none, n3: none }));
  assert.equal(only(found).topic, 'lease');
});

test('slots without a bound, without room, or lost are warned about, unless the node manages none', () => {
  const n2 = (changes: Partial<ServerFacts>) =>
    allFacts.map((one) => (one.name === 'n2' ? factsOfServer('n2', changes) : one));
  const unbounded = n2(withSetting('max_slot_wal_keep_size', '-1'));
  const finding = only(across(clusterOf(), unbounded));
  assert.equal(finding.level, 'warning');
  assert.match(finding.text, /until the disk is full/);
  assert.match(finding.mend ?? '', /ALTER SYSTEM SET max_slot_wal_keep_size = '10GB'.*manage_slots = off/);
  const off = clusterOf({ n2: { look: { keeperSettings: { manage_slots: 'off' } } } });
  assert.deepEqual(across(off, unbounded), []);
  assert.match(
    only(across(clusterOf(), n2(withSetting('max_replication_slots', '2')))).text,
    /too few for 2/,
  );
  assert.deepEqual(across(clusterOf(), n2(withSetting('max_replication_slots', '3'))), []);
  const slots = [{ name: 'pgkeeper_node_n3', lost: true }];
  assert.match(only(across(clusterOf(), n2({ slots }))).text, /the slot of n3 is lost here/);
});
