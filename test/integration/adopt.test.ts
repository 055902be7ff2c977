/**
 * A replication that streams already, on Debian's layout, is taken over: no restart, no file of its configuration touched. Then its
 * master crashes, a node is brought back by hand and another one is added.
 */
import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { migrateUp } from '../../src/postgres/migrations.js';
import { changeConfiguration } from '../../src/process/configuration-change.js';
import { copyFrom } from '../../src/process/copy/base-copy.js';
import { keeperRole, TestCluster, type TestNode } from '../../src/testbed/cluster.js';
import { grantsFor } from '../../src/testbed/grants.js';
import { until } from '../../src/testbed/until.js';
import { auditWrites, createWritesTable, Writer } from '../../src/testbed/writer.js';
import { pgkeeper, program } from '../support/command-line.js';
import { DebianLayout, whyNoDebian } from '../support/debian-layout.js';
import { installation, keepaliveMs, untilAllVote } from '../support/failover-cluster.js';
import { skipLoudly } from '../support/skip.js';

const why = whyNoDebian(installation);
const syncNames = 'ANY 1 (n1, n2, n3)';

test("Debian's layout can be played here", (context) => {
  if (why !== null) skipLoudly(context, why);
});

describe('an existing replication on Debian', { concurrency: false, skip: why ?? false }, () => {
  let cluster: TestCluster;
  let debian: DebianLayout;
  let writer: Writer;
  let begun: string;
  const startTimes = () =>
    Promise.all(
      cluster.nodes.map(async ({ server }) => {
        const [row] = await server.query<{ at: string }>('select pg_postmaster_start_time()::text as at');
        return row?.at;
      }),
    );
  const startWorker = ({ name, server, worker }: TestNode) => {
    const settings = ['--node-name', name, '--keepalive-time', `${keepaliveMs}ms`, '--keepalive-count', '3'];
    const commands = [
      '--start-command',
      debian.command(server, 'start'),
      '--stop-command',
      debian.command(server, 'stop'),
    ];
    worker.start([...settings, ...commands]);
  };

  /** What a DBA has before anybody thinks of failover: three servers, two of them stream. */
  before(async () => {
    cluster = new TestCluster({ installation, program, nodes: 3, syncNames });
    debian = new DebianLayout(cluster.folder, installation);
    const { server: first } = await cluster.addServer('n1');
    await first.initialise();
    debian.place(first);
    await debian.start(first);
    await first.query(`create role replicator login replication`);
    for (const name of ['n2', 'n3']) {
      const { server } = await cluster.addServer(name);
      const { dataDirectory, installation: programs } = server;
      await copyFrom({
        source: first.conninfo('replicator'),
        dataDirectory,
        binDirectory: programs.binDirectory,
      });
      writeFileSync(join(dataDirectory, 'postgresql.conf'), '');
      await server.writeSettings();
      // As pg_basebackup -R writes it.
      changeConfiguration(join(dataDirectory, 'postgresql.auto.conf'), {
        primary_conninfo: `user=replicator host=${first.host} port=${first.port} application_name=${name}`,
      });
      debian.place(server);
      await debian.start(server);
    }
    await createWritesTable(first);
    for (const { server } of cluster.nodes) {
      changeConfiguration(join(server.dataDirectory, 'postgresql.auto.conf'), {
        synchronous_standby_names: syncNames,
      });
      await server.query('select pg_reload_conf()');
    }
    begun = debian.fingerprint();
    writer = new Writer({ servers: cluster.nodes.map(({ server }) => server), number: 1, pauseMs: 10 });
    writer.start();
    await until('the client writes', () => writer.acknowledged.length > 10);
  });

  after(async () => {
    await writer?.stop();
    await cluster.remove();
  });

  const nothingLost = async (node: TestNode) => {
    const audit = await auditWrites([writer], node.server);
    assert.deepEqual(audit.lost, []);
    assert.ok(audit.acknowledged > 10);
  };
  const step = (name: string, run: () => Promise<void>) =>
    test(name, async () => {
      try {
        await run();
      } catch (error) {
        throw new Error(`${error instanceof Error ? error.stack : String(error)}\n${cluster.logs(25)}`);
      }
    });

  step('it is taken over without a restart and without a change to its files', async () => {
    const before = await startTimes();
    const { server: master } = cluster.node('n1');
    await master.query('create extension if not exists dblink');
    const connection = { host: master.host, port: master.port, user: 'postgres', database: 'postgres' };
    assert.notEqual((await migrateUp({ connection })).kind, 'refused');
    await master.query(grantsFor(keeperRole, { withoutPassword: true }));
    for (const node of cluster.nodes) startWorker(node);
    for (const { name } of cluster.nodes) await cluster.register(name, master);
    await cluster.untilSettled('n1');
    assert.deepEqual(await startTimes(), before, 'no server was restarted');
    assert.equal(debian.fingerprint(), begun, 'its configuration is as it was');
    await nothingLost(cluster.node('n1'));
  });

  step('its master crashes: another takes over, the old one comes back through pg_ctlcluster', async () => {
    await untilAllVote(cluster, 'n1');
    const old = cluster.node('n1');
    const since = performance.now();
    old.server.kill();
    const first = await until('another takes writes', () => writer.firstSince(since, 'n1'), 60_000);
    const next = cluster.node(first.server);
    await cluster.untilSettled(next.name);
    const [row] = await old.server.query<{ standby: boolean; file: string }>(
      `select pg_is_in_recovery() as standby, current_setting('config_file') as file`,
    );
    assert.deepEqual(row, { standby: true, file: join(debian.configuration(old.server), 'postgresql.conf') });
    assert.equal(debian.fingerprint(), begun);
    await nothingLost(next);
  });

  step('a node is copied afresh by hand, and its configuration stays where it is', async () => {
    const master = await until('there is a master', () => cluster.master());
    const [node] = cluster.nodes.filter(({ name }) => name !== master.name);
    assert.ok(node !== undefined);
    await node.worker.stop();
    await node.server.stop();
    const { server, name } = node;
    const own = ['-D', debian.configuration(server), '-d', server.conninfo(keeperRole), '--node-name', name];
    const commands = [
      '--start-command',
      debian.command(server, 'start'),
      '--stop-command',
      debian.command(server, 'stop'),
    ];
    const result = await pgkeeper(['rejoin', ...own, ...commands, '--copy', '--json']);
    assert.equal(result.code, 0, result.err);
    assert.ok(!existsSync(join(server.dataDirectory, 'postgresql.conf')));
    assert.equal(debian.fingerprint(), begun);
    startWorker(node);
    await cluster.untilSettled(master.name);
    await nothingLost(master);
  });

  step('a fourth node is made by clone into a cluster that Debian has prepared', async () => {
    const master = await until('there is a master', () => cluster.master());
    const node = await cluster.addServer('n4');
    const { server } = node;
    await server.initialise();
    debian.place(server);
    const now = debian.fingerprint();
    const clone = ['clone', '--from', master.server.conninfo(keeperRole), '-D', debian.configuration(server)];
    const unforced = await pgkeeper([...clone, '--name', 'n4']);
    assert.equal(unforced.code, 4, unforced.err);
    const result = await pgkeeper([
      ...clone,
      '--name',
      'n4',
      '--force',
      '--remove-old',
      '--register',
      '--json',
    ]);
    assert.equal(result.code, 0, result.err);
    assert.equal((JSON.parse(result.out) as { voting: boolean }).voting, true);
    assert.equal(debian.fingerprint(), now, 'the configuration that was prepared is as it was');
    startWorker(node);
    await cluster.untilSettled(master.name);
    await nothingLost(master);
  });
});
