/** What `explain` foresees from looks at the nodes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { linesOf } from '../../src/cli/explain.js';
import { outlookOf } from '../../src/cli/failover.js';
import { type Forecast, forecastOf, outageLines } from '../../src/cli/forecast.js';
import { parseLsn } from '../../src/core/lsn.js';
import { clusterOf, gone, type NodeChanges, voterOf } from '../support/cluster-looks.js';

test('with equal data the node named first in synchronous_standby_names would be promoted', () => {
  const forecast = forecastOf(clusterOf());
  assert.equal(forecast.would_promote, 'n2');
  assert.match(forecast.why, /both have the same data, and n2 is named first/);
  assert.deepEqual(
    forecast.places.map(({ name, place }) => [name, place]),
    [
      ['n2', 1],
      ['n3', 2],
    ],
  );
  assert.deepEqual(forecast.blocked_by, []);
  assert.deepEqual(forecast.votes, { voters: 3, needed: 2, reachable: 2 });
  assert.equal(forecast.commits.must_be_present, 2, '|R| - k + 1');
});

test('who has received more goes first, and by how much is told', () => {
  const forecast = forecastOf(clusterOf({ n3: { observation: { received: parseLsn('0/5000400') } } }));
  assert.equal(forecast.would_promote, 'n3');
  assert.match(forecast.why, /n3 has received 1\.0 kB more than n2/);
});

test('with equal data priority decides, and 0 is never', () => {
  const higher = forecastOf(clusterOf({ n3: { observation: { priority: 200 } } }));
  assert.equal(higher.would_promote, 'n3');
  const never = forecastOf(clusterOf({ n2: { observation: { priority: 0 } } }));
  assert.equal(never.would_promote, 'n3');
  assert.match(never.places.find((one) => one.name === 'n2')?.reason ?? '', /priority 0/);
});

test('a member of the synchronous set goes before one that is none', () => {
  const of = { syncMembers: ['n3'], syncNeeded: 1, syncWished: 1 };
  const forecast = forecastOf(clusterOf({}, of));
  assert.equal(forecast.would_promote, 'n3');
  assert.match(forecast.why, /n3 is a member of the synchronous set, n2 is not/);
});

test('a node without a worker is not promoted, and that is said', () => {
  const forecast = forecastOf(clusterOf({ n2: { state: null } }));
  assert.equal(forecast.would_promote, 'n3');
  assert.match(forecast.places.find((one) => one.name === 'n2')?.reason ?? '', /no running worker/);
});

test('one standby lost: no majority and missing commits both block', () => {
  const forecast = forecastOf(clusterOf({ n2: { failure: gone } }));
  assert.equal(forecast.would_promote, null);
  assert.match(forecast.blocked_by.join('\n'), /no majority: 1 of 3/);
  assert.match(forecast.blocked_by.join('\n'), /it would wait for n2/);
  const text = linesOf(forecast).join('\n').replace(/\s+/g, ' ');
  assert.match(text, /Would be blocked: no majority/);
  assert.doesNotMatch(text, /\bBlocked:/, 'nothing is blocked while there is a master');
  assert.match(text, /Outage: for as long as nobody can be promoted/);
  assert.doesNotMatch(text, /writes again within/, 'nobody would take over');
});

test('while degraded only the old master may come back, and it is named', () => {
  const forecast = forecastOf(clusterOf({ n1: { failure: gone } }, { syncNeeded: 0 }));
  assert.equal(forecast.would_promote, null);
  assert.match(forecast.blocked_by.join(), /degraded.*n1/);
  assert.equal(forecast.master_alive, false);
  assert.match(linesOf(forecast).join('\n').replace(/\s+/g, ' '), /Blocked: .*; waits for n1/);
});

test('what is said of acknowledged commits follows the mode of replication, with members or without', () => {
  const said = (of: Parameters<typeof clusterOf>[1]) =>
    linesOf(forecastOf(clusterOf({}, of)))
      .join('\n')
      .replace(/\s+/g, ' ');
  assert.match(said({}), /commits: each is on at least 1 of R = \{n2, n3\}\. 2 of R must be there/);
  for (const syncMembers of [['n2', 'n3'], []]) {
    const degraded = said({ syncNeeded: 0, syncMembers });
    assert.match(degraded, /degraded: until a wished standby is back only n1 has all of them\./);
    assert.doesNotMatch(degraded, /replication is off|of R must be there/);
  }
  const none = { syncWished: 0, syncNeeded: 0, syncMembers: [] };
  assert.match(said(none), /replication is off/);
});

test('the former master, back as a standby with its data, is let first', () => {
  const forecast = forecastOf(clusterOf({ n1: { observation: { inRecovery: true } } }));
  assert.equal(forecast.would_promote, 'n1');
});

test('a fenced node that was not the master is no candidate', () => {
  const forecast = forecastOf(clusterOf({ n2: { observation: { fenced: true } } }));
  assert.match(forecast.places.find((one) => one.name === 'n2')?.reason ?? '', /fenced/);
});

test('the bound on the outage follows the settings of who would be promoted', () => {
  const keeperSettings = { keepalive_time: '1s', fencing_command: 'fence', command_timeout: '20s' };
  const outage = forecastOf(clusterOf({ n2: { look: { keeperSettings } } })).outage ?? assert.fail();
  assert.equal(outage.failover_time_ms, 3000);
  assert.equal(outage.fencing_command_ms, 20_000);
  assert.ok(outage.crash_ms < outage.silence_ms);
  assert.ok(outage.silence_ms > 3000);
  assert.match(outageLines(outage).join('\n'), /T = 3s.*\n.*fencing_command, at most 20s/);
});

test('who is held up by its own fencing_command is named, and only while there is no master', () => {
  const lost = { failure: gone } as const;
  const blocked = forecastOf(clusterOf({ n1: lost, n2: { state: 'standby:blocked' } }));
  assert.deepEqual(blocked.blocked_by, []);
  assert.match(blocked.warnings.join(), /n2 is standby:blocked all the same.*fencing_command/);
  assert.deepEqual(forecastOf(clusterOf({ n1: lost })).warnings, []);
  assert.deepEqual(forecastOf(clusterOf({ n2: { state: 'standby:blocked' } })).warnings, []);
});

test('with two voters a crash is treated like silence', () => {
  const pair = [voterOf('n1', 1), voterOf('n2', 2)];
  const forecast = forecastOf(clusterOf({}, { voters: pair, nodes: pair, syncMembers: ['n2'] }));
  assert.equal(forecast.outage?.fast_failover, false);
  const outage = forecast.outage ?? assert.fail();
  assert.match(outageLines(outage).join(' '), /like silence, since there are only two voters;/);
  const slow = { look: { keeperSettings: { fast_failover: 'off' } } };
  assert.match(
    outageLines(forecastOf(clusterOf({ n2: slow })).outage ?? assert.fail()).join(' '),
    /like silence, since fast_failover is off;/,
  );
  assert.deepEqual(forecast.blocked_by, []);
  assert.match(forecast.warnings.join(), /a split can give two masters/);
  assert.deepEqual(forecastOf(clusterOf()).warnings, []);
});

const never = { observation: { priority: 0 } } as const;
const textOf = (forecast: Forecast) => linesOf(forecast).join('\n').replace(/\s+/g, ' ');

test('where every node but the master has priority 0 that is said beforehand, with the way out', () => {
  const forecast = forecastOf(clusterOf({ n2: never, n3: never }));
  assert.equal(forecast.would_promote, null);
  assert.match(
    textOf(forecast),
    /nobody would be promoted\..*Would be blocked: nobody may be promoted: .*priority/,
  );
  assert.match(textOf(forecast), /Way out: pgkeeper priority n2 100 /);
  // Also of a node that does not answer, where set_priority says it.
  const nodes = ['n1', 'n2', 'n3'].map((name, i) => ({
    ...voterOf(name, i + 1),
    priority: i === 0 ? 100 : 0,
  }));
  assert.match(textOf(forecastOf(clusterOf({ n2: { failure: gone } }, { nodes }))), /priority n3 100/);
});

test('and when the master is dead, what the operator does: start it, or name a node', () => {
  const forecast = forecastOf(clusterOf({ n1: { failure: gone }, n2: never, n3: never }));
  assert.match(textOf(forecast), / Blocked: nobody may be promoted: .*priority/);
  assert.match(textOf(forecast), /Way out: start n1 again; if it is lost, pgkeeper failover n2 /);
});

test('to name a node of priority 0 is no loss to accept; what else stands against it is', () => {
  const accepted = (n3: NodeChanges) => {
    const cluster = clusterOf({ n1: { failure: gone }, n2: never, n3 });
    const node = cluster.nodes.find(({ voter }) => voter.name === 'n2') ?? assert.fail();
    return outlookOf(cluster, node).needs_acceptance;
  };
  assert.equal(accepted(never), false);
  assert.equal(accepted({ failure: gone }), true, 'no majority, and n3 may have what n2 has not');
});

test('one node above 0, the former master back, or nodes that do not say: nothing of priorities', () => {
  for (const changes of [
    { n2: never },
    { n1: { observation: { inRecovery: true } }, n2: never, n3: never },
    { n2: { failure: gone }, n3: { failure: gone } },
  ]) {
    const forecast = forecastOf(clusterOf(changes));
    assert.equal(forecast.way_out, null);
    assert.doesNotMatch(forecast.blocked_by.join(), /priority/);
  }
});

test('how many votes are needed follows the quorum of who would be promoted, not that of any node', () => {
  const pair = [voterOf('n1', 1), voterOf('n2', 2)];
  const of = { voters: pair, nodes: pair, syncMembers: ['n2'] };
  const strict = { look: { keeperSettings: { quorum: 'strict' } } };
  const auto = forecastOf(clusterOf({ n1: strict }, of));
  assert.equal(auto.would_promote, 'n2', 'n2 has auto, and goes by that');
  assert.equal(auto.votes.needed, 1);
  assert.match(auto.warnings.join(), /strict on n1 and auto on n2/);
  const blocked = forecastOf(clusterOf({ n2: strict }, of));
  assert.deepEqual([blocked.would_promote, blocked.votes.needed], [null, 2]);
  const silent = forecastOf(clusterOf({ n1: { ...strict, failure: gone } }, of));
  assert.equal(silent.would_promote, 'n2');
});
