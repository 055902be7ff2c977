/** Two nodes and a witness: all rules strict. The witness is an ordinary server that may serve other clusters as well. */
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { makeServers } from '../../src/testbed/cluster.js';
import { until } from '../../src/testbed/until.js';
import { pgkeeper } from '../support/command-line.js';
import { FailoverCluster, registryOf, stepsOn } from '../support/failover-cluster.js';
import { Witness, witnessRole } from '../support/witness.js';

describe('two nodes and a witness', { concurrency: false }, () => {
  let two: FailoverCluster;
  let witness: Witness;

  before(async () => {
    witness = await Witness.create();
    two = await FailoverCluster.create({
      nodes: 2,
      syncNames: 'ANY 1 (n1, n2)',
      settings: { 'pg_keeper.startup_grace': '3s' },
    });
  });

  after(async () => {
    await two?.remove();
    await witness?.remove();
  });

  const step = stepsOn(() => two);
  const on = async () => ['-d', (await two.master()).server.conninfo()];
  const statusNow = async () => JSON.parse((await pgkeeper(['status', '--json', ...(await on())])).out);

  step('servers that cannot be a witness are refused, and nothing is stored', async () => {
    const { server } = two.node('n1');
    const standby = two.node('n2').server.conninfo();
    const own = await pgkeeper(['add-witness', 'w', standby, ...(await on())]);
    assert.equal(own.code, 4);
    assert.match(own.err, /member of this cluster/);
    const taken = await pgkeeper(['add-witness', 'n2', witness.conninfo, ...(await on())]);
    assert.match(taken.err, /"n2" is registered already/);
    assert.equal(taken.code, 4);
    await witness.server.query(`revoke pg_monitor from ${witnessRole}`);
    const blind = await pgkeeper(['add-witness', 'w', witness.conninfo, ...(await on())]);
    assert.match(blind.err, /may not see since when the server runs[\s\S]*GRANT pg_monitor/);
    assert.doesNotMatch(blind.err, /grants\.sql/, 'those are for the servers of the cluster');
    await witness.server.query(
      `grant pg_monitor to ${witnessRole}; revoke create on database postgres from ${witnessRole}`,
    );
    const barred = await pgkeeper(['add-witness', 'w', witness.conninfo, ...(await on())]);
    assert.match(barred.err, /may not keep a row/);
    await witness.server.query(`grant create on database postgres to ${witnessRole}`);
    const silent = await pgkeeper([
      'add-witness',
      'w',
      'host=127.0.0.1 port=1 dbname=postgres',
      ...(await on()),
    ]);
    assert.match(silent.err, /does not answer/);
    assert.deepEqual(await server.query('select * from pgkeeper.witness_info'), []);
  });

  step(
    'a witness gets a vote and the row, status and check know it, and the warning of two nodes ends',
    async () => {
      const added = await pgkeeper([
        'add-witness',
        'w',
        witness.conninfo,
        '--timeout',
        '30s',
        ...(await on()),
      ]);
      assert.equal(added.code, 0, added.err);
      assert.match(added.err + added.out, /has a vote/);
      await two.untilAllVote('n1');
      const status = await statusNow();
      assert.deepEqual(status.quorum, { voters: 3, needed: 2, held: 3 });
      assert.deepEqual(status.warnings, []);
      const row = status.nodes.find((node: { name: string }) => node.name === 'w');
      assert.equal(row.role, 'witness');
      assert.equal(row.state, 'witness');
      assert.equal(row.lease, 'n1');
      const check = await pgkeeper(['check', ...(await on())]);
      assert.match(check.out, /lends its vote and keeps row/);
      assert.doesNotMatch(check.out, /two nodes/);
      const [{ role, state }] = (await two
        .node('n2')
        .server.query(`select role, state from pgkeeper.status where name = 'w'`)) as [
        { role: string; state: string },
      ];
      assert.deepEqual({ role, state }, { role: 'witness', state: 'witness' });
      const twice = await pgkeeper(['add-witness', 'w2', witness.conninfo, ...(await on())]);
      assert.match(twice.err, /registered already, as witness "w"/);
    },
  );

  step('with its vote a crashed master is replaced, nothing is lost, and it comes back', async () => {
    const old = await two.master();
    const since = performance.now();
    const next = await two.crash(old);
    two.assertNoOverlap(since);
    await two.assertNothingLost(next);
    await two.cluster.untilSettled(next.name);
    await two.untilAllVote(next.name);
  });

  step('a witness that restarts or is gone changes nothing, and its vote is held again', async () => {
    const master = await two.master();
    const { epoch } = await registryOf(master);
    await witness.server.stop();
    await until('one vote is missing', async () => (await statusNow()).quorum.held === 2);
    await two.untilWriting();
    await witness.server.start();
    await two.untilAllVote(master.name);
    assert.equal((await registryOf(master)).epoch, epoch);
  });

  step(
    'what only the lost master acknowledged is known to the witness: nobody is promoted without it',
    async () => {
      const master = await two.master();
      const other = two.cluster.nodes.find(({ name }) => name !== master.name);
      assert.ok(other !== undefined);
      await other.worker.kill();
      other.server.kill();
      await master.worker.untilDecision('went-async');
      await two.untilWriting();
      await until('the witness keeps the newest row', async () => {
        const [kept] = await witness.kept();
        const [row] = await master.server.query<{ version: string }>(
          'select version from pgkeeper.cluster_state',
        );
        return kept?.version === row?.version;
      });
      const wall = Date.now();
      await master.worker.kill();
      master.server.kill();
      await other.server.start();
      other.worker.start();
      const blocked = await other.worker.untilDecision('election-blocked', wall, 90_000);
      assert.match(blocked.msg, new RegExp(`waiting for ${master.name}`));
      const [row] = await other.server.query<{ standby: boolean }>('select pg_is_in_recovery() as standby');
      assert.equal(row?.standby, true);
      const there = ['-d', other.server.conninfo()];
      const explained = await pgkeeper(['explain', ...there]);
      assert.match(explained.out, /nobody would be promoted/);
      assert.match(
        explained.out,
        new RegExp(`is degraded: only\\s+${master.name} has .* waits\\s+for\\s+${master.name}\\.`, 's'),
      );
      const named = await pgkeeper(['failover', other.name, '--yes', ...there]);
      assert.equal(named.code, 4, named.out + named.err);
      await master.server.start();
      master.worker.start();
      const next = await until('somebody takes writes', () => two.cluster.master(), 60_000);
      await two.untilWriting();
      await two.assertNothingLost(next);
      await two.untilAllVote(next.name);
    },
  );

  step('another server in its place has no vote until it is added again', async () => {
    const master = await two.master();
    const wall = Date.now();
    await witness.replace();
    await master.worker.untilDecision('witness-changed', wall);
    await two.untilWriting();
    assert.match((await statusNow()).warnings.join(), /another server answers in the place of witness w/);
    const check = await pgkeeper(['check', ...(await on())]);
    assert.equal(check.code, 1);
    assert.match(check.out, /add-witness under another name, then pgkeeper del-witness w/);
    const removed = await pgkeeper(['del-witness', 'w', ...(await on())]);
    assert.equal(removed.code, 0, removed.err);
    const added = await pgkeeper(['add-witness', 'w', witness.conninfo, '--timeout', '30s', ...(await on())]);
    assert.equal(added.code, 0, added.err);
    await two.untilAllVote(master.name);
    const unknown = await pgkeeper(['del-witness', 'v', ...(await on())]);
    assert.equal(unknown.code, 2);
  });

  step('one witness serves two clusters, and each has its own vote there', async () => {
    const master = await two.master();
    // Made anew: a vote goes by the system identifier.
    const second = await FailoverCluster.create({ nodes: 2, syncNames: 'ANY 1 (n1, n2)', makeServers });
    try {
      const { server } = second.node('n1');
      const added = await pgkeeper([
        'add-witness',
        'w',
        witness.conninfo,
        '--timeout',
        '30s',
        '-d',
        server.conninfo(),
      ]);
      assert.equal(added.code, 0, added.err);
      await second.untilAllVote('n1');
      assert.equal((await witness.kept()).length, 2);
      const next = await second.crash(second.node('n1'));
      await second.assertNothingLost(next);
      await two.untilAllVote(master.name);
      assert.equal((await two.master()).name, master.name);
    } finally {
      await second.remove();
    }
  });
});
