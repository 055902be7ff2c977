/** What `status` makes of looks at the nodes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSameNode } from '../../src/cli/cluster-look.js';
import { forecastOf } from '../../src/cli/forecast.js';
import { statusOf } from '../../src/cli/status.js';
import { parseLsn } from '../../src/core/lsn.js';
import { clusterOf, gone, voterOf } from '../support/cluster-looks.js';

test('a healthy cluster is shown as interface.md promises it', () => {
  const status = statusOf(clusterOf());
  assert.equal(status.epoch, 4);
  assert.equal(status.master, 'n1');
  assert.equal(status.sync, 'on');
  assert.deepEqual(status.quorum, { voters: 3, needed: 2, held: 3 });
  assert.deepEqual(status.warnings, []);
  const { name, role, state, reachable, is_nextmaster, is_sync, timeline, lag_bytes } =
    status.nodes[1] ?? assert.fail();
  assert.deepEqual(
    { name, role, state, reachable, is_nextmaster, is_sync, timeline, lag_bytes },
    {
      name: 'n2',
      role: 'standby',
      state: 'standby:connected',
      reachable: true,
      is_nextmaster: true,
      is_sync: true,
      timeline: 2,
      lag_bytes: 0,
    },
  );
});

test('a server out of reach is unreachable whatever its worker last said elsewhere, and the reason is shown', () => {
  const status = statusOf(clusterOf({ n3: { failure: gone } }));
  const node = status.nodes[2];
  assert.equal(node?.reachable, false);
  assert.equal(node?.state, 'unreachable');
  assert.match(node?.error ?? '', /connection refused/);
  assert.match(status.warnings.join(), /n3 cannot be reached from here/);
});

test('a server that its worker is bringing back is shown as that while it does not answer', () => {
  const status = statusOf(clusterOf({ n3: { failure: gone, state: 'rejoining' } }));
  assert.equal(status.nodes[2]?.state, 'rejoining');
});

test('a server without a worker is told apart from one that is gone', () => {
  const status = statusOf(clusterOf({ n2: { state: null } }));
  assert.equal(status.nodes[1]?.reachable, true);
  assert.equal(status.nodes[1]?.worker, false);
  assert.equal(status.nodes[1]?.state, 'unreachable');
  assert.match(status.warnings.join(), /n2 has no running worker/);
});

test('a standby that answers and is not sent anything is told of, whatever state its worker shows', () => {
  const status = statusOf(clusterOf({ n1: { observation: { replication: [] } } }));
  assert.equal(status.nodes[1]?.state, 'standby:connected');
  assert.match(status.warnings.join('\n'), /^n2 does not stream from n1: /m);
  assert.match(status.warnings.join('\n'), /^n3 does not stream from n1: /m);
  const gone1 = statusOf(clusterOf({ n1: { failure: gone }, n3: { failure: gone } }));
  assert.doesNotMatch(gone1.warnings.join(), /does not stream/, 'nobody knows');
});

test('a worker that says nothing for long is not there', () => {
  const silent = { workers: [{ node: 'n2', state: 'standby:connected', silentMs: 120_000 }] };
  const status = statusOf(clusterOf({ n1: { look: silent }, n2: { look: silent }, n3: { look: silent } }));
  assert.equal(status.nodes[1]?.worker, false);
});

test('sync is off without a wish, degraded without a standby', () => {
  assert.equal(statusOf(clusterOf({}, { syncWished: 0, syncNeeded: 0, syncMembers: [] })).sync, 'off');
  assert.equal(statusOf(clusterOf({}, { syncNeeded: 0 })).sync, 'degraded');
});

test('the lag is what the master has flushed and the standby has not replayed', () => {
  const behind = parseLsn('0/4FFF000');
  const replication = [{ name: 'n2', state: 'streaming', flushLsn: behind, replayLsn: behind, priority: 1 }];
  const status = statusOf(
    clusterOf({ n1: { observation: { replication } }, n2: { observation: { replayed: behind } } }),
  );
  assert.equal(status.nodes[1]?.lag_bytes, 0x1000);
});

test('an old master that is still writable is called out', () => {
  const status = statusOf(clusterOf({ n3: { observation: { inRecovery: false } } }));
  assert.match(status.warnings.join(), /n3 is writable, but n1 is the master of epoch 4/);
});

test('where no master is in reach each standby says how old the newest is that it has of it', () => {
  const walReceiver = { status: 'streaming', host: 'n2', port: 5432, lastMessageAgeMs: 10 };
  const status = statusOf(
    clusterOf({
      n1: { failure: gone },
      n2: { observation: { walReceiver: null }, look: { replayedAgeMs: 12_000 } },
      // What another standby sends is no word of the master.
      n3: { observation: { walReceiver }, look: { replayedAgeMs: null } },
    }),
  );
  assert.match(status.warnings.join('\n'), /^the newest that n2 has of its master n1 is 12 s old$/m);
  assert.match(status.warnings.join('\n'), /^n3 has heard nothing of its master n1 since it was started$/m);
  assert.ok(Math.abs(Date.now() - 12_000 - Date.parse(status.nodes[1]?.heard_of_master ?? '')) < 2000);
  const healthy = statusOf(clusterOf());
  assert.doesNotMatch(healthy.warnings.join(), /heard|newest/);
  assert.ok(Date.parse(healthy.nodes[1]?.heard_of_master ?? '') > Date.now() - 2000, 'by its stream');
});

test('votes count only when the master’s own worker holds them', () => {
  const status = statusOf(
    clusterOf({ n2: { look: { voteHolder: 'n3' } }, n3: { look: { voteHolder: null } } }),
  );
  assert.equal(status.quorum.held, 1);
});

test('two nodes without a witness are warned about; a witness ends the warning and is shown as one', () => {
  const pair = [voterOf('n1', 1), voterOf('n2', 2)];
  assert.match(
    statusOf(clusterOf({}, { voters: pair, nodes: pair })).warnings.join(),
    /two nodes without a witness: no majority is possible/,
  );
  const ofStrict = { look: { keeperSettings: { quorum: 'strict' } } };
  assert.match(
    statusOf(clusterOf({ n1: ofStrict, n2: ofStrict }, { voters: pair, nodes: pair })).warnings.join(),
    /quorum = strict: with one lost nobody takes writes/,
  );
  const identity = { token: 't', systemIdentifier: '8', timeline: 1, address: '10.0.0.9:5432' };
  const witness = { ...voterOf('w', 3, 'witness'), identity };
  const withWitness = [...pair, witness];
  const look = { systemIdentifier: '8', timeline: 1, address: '10.0.0.9:5432', inRecovery: false };
  const clusterWith = (observation: object) =>
    statusOf(clusterOf({ w: { state: null, observation } }, { voters: withWitness, nodes: withWitness }));
  const status = clusterWith(look);
  assert.equal(status.nodes[2]?.role, 'witness');
  assert.equal(status.nodes[2]?.state, 'witness');
  assert.deepEqual(status.warnings, []);
  assert.match(
    clusterWith({ ...look, timeline: 2 }).warnings.join(),
    /another server answers in the place of witness w/,
  );
});

test('a server that is no node any more is told so, by status and by explain', () => {
  const removed = { name: 'n4', removedAt: '2026-01-02T03:04:05Z', hasWorker: true };
  const text =
    /^n4, the server asked, is no node any more: it was removed at 2026-01-02T03:04:05Z; .*a worker still runs beside it/;
  assert.match(statusOf({ ...clusterOf(), stranger: removed }).warnings[0] ?? '', text);
  assert.match(forecastOf({ ...clusterOf(), stranger: removed }).warnings[0] ?? '', text);
  const never = { name: 'n4', removedAt: null, hasWorker: false };
  assert.match(
    statusOf({ ...clusterOf(), stranger: never }).warnings.join(),
    /is no node of this cluster; it has no vote, is never promoted, and no worker looks after it/,
  );
});

test('a name that application_name has cut off is still recognised', () => {
  const name = 'x'.repeat(60);
  const state = 'standby:connected';
  const cut = `pgk ${state} ${name}`.slice(0, 63).slice(`pgk ${state} `.length);
  assert.ok(isSameNode({ node: cut, state, silentMs: 0 }, name));
  assert.ok(!isSameNode({ node: 'n1', state, silentMs: 0 }, 'n11'));
});

test('the votes a master needs follow its own quorum, and that the nodes differ is told', () => {
  const pair = [voterOf('n1', 1), voterOf('n2', 2)];
  const of = { voters: pair, nodes: pair, syncMembers: ['n2'] };
  const strict = { look: { keeperSettings: { quorum: 'strict' } } };
  const ofStandby = statusOf(clusterOf({ n2: strict }, of));
  assert.equal(ofStandby.quorum.needed, 1, 'the master has auto');
  assert.match(ofStandby.warnings.join(), /quorum is strict on n2 and auto on n1/);
  assert.equal(statusOf(clusterOf({ n1: strict }, of)).quorum.needed, 2);
  // On its way: with a witness registered every worker is strict, as in the core.
  const nodes = [...pair, voterOf('w', 3, 'witness')];
  assert.equal(statusOf(clusterOf({}, { ...of, nodes })).quorum.needed, 2);
});

test('that nobody may be promoted is told while the master lives', () => {
  const never = { observation: { priority: 0 } };
  const { warnings } = statusOf(clusterOf({ n2: never, n3: never }));
  assert.match(warnings.join(), /nobody may be promoted: .*; pgkeeper priority n2 100/);
  assert.doesNotMatch(statusOf(clusterOf({ n2: never })).warnings.join(), /nobody/);
});
