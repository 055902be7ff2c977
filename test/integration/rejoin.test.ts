/**
 * Coming back as a standby: by hand with `pgkeeper rejoin`, by the worker, from data that were half rewound or half copied, from a
 * source that falls silent. What only the old master had is kept aside each time, and counted.
 */
import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe } from 'node:test';
import { markUnfinished, readUnfinished } from '../../src/process/copy/unfinished-data.js';
import { keeperRole, type TestNode } from '../../src/testbed/cluster.js';
import { until } from '../../src/testbed/until.js';
import { pgkeeper } from '../support/command-line.js';
import { deposedMaster } from '../support/deposed-master.js';
import { FailoverCluster, installation, stepsOn } from '../support/failover-cluster.js';

const hasRewind = existsSync(join(installation.binDirectory, 'pg_rewind'));
const counts = existsSync(join(installation.binDirectory, 'pg_waldump'));

interface Report {
  readonly detail: string;
  readonly streams: boolean;
  readonly lost: { readonly folder: string; readonly commits: number | null } | null;
}

describe('coming back', { concurrency: false }, () => {
  let two: FailoverCluster;

  before(async () => {
    two = await FailoverCluster.create({ nodes: 3, syncNames: 'ANY 1 (n1, n2, n3)' });
  });

  after(async () => {
    await two.remove();
  });

  const step = stepsOn(() => two);
  const keptBy = (node: TestNode) => join(node.server.folder, 'pgkeeper_lost_wal');

  /** An old master, stopped, with `rows` commits that nobody else has. */
  const deposed = (rows: number) =>
    deposedMaster(two, async (client) => {
      await client.query('create table only_here (g int)');
      // More than a page each, so that it shows without pg_waldump too.
      const insert = 'insert into only_here select generate_series(1, 500)';
      for (let i = 0; i < rows; i++) await client.query(insert);
    });

  async function backInCluster(node: TestNode, masterName: string): Promise<void> {
    if (!node.worker.isRunning()) node.worker.start();
    await two.cluster.untilSettled(masterName);
    await two.assertNothingLost(two.node(masterName));
  }

  const rejoin = (node: TestNode, ...more: readonly string[]) => {
    const { server } = node;
    const own = ['-D', server.dataDirectory, '-d', server.conninfo(keeperRole)];
    return pgkeeper(['rejoin', ...own, '--bin-directory', installation.binDirectory, '--json', ...more]);
  };

  step('a server that was killed is rewound by hand, and what only it had is kept and counted', async () => {
    const { old, next } = await deposed(5);
    const result = await rejoin(old);
    assert.equal(result.code, 0, result.err);
    const report = JSON.parse(result.out) as Report;
    assert.match(report.detail, hasRewind ? /rewound with pg_rewind/ : /fresh copy/);
    assert.equal(report.streams, true);
    assert.ok(report.lost !== null, 'something was lost');
    if (counts) assert.ok((report.lost.commits ?? 0) >= 5, `${report.lost.commits} commits`);
    const kept = readdirSync(report.lost.folder);
    assert.ok(
      kept.some((name) => /^[0-9A-F]{24}$/.test(name)),
      kept.join(' '),
    );
    assert.ok(kept.includes('lost-wal.json'));
    const [gone] = await old.server.query<{ gone: boolean }>(
      `select to_regclass('only_here') is null as gone`,
    );
    assert.equal(gone?.gone, true, 'the standby is on the history of the master');
    const told = await next.server.query<{ code: string }>(
      'select code from pgkeeper.events where node = $1 order by id desc limit 2',
      [old.name],
    );
    assert.deepEqual(
      told.map(({ code }) => code),
      ['rejoined', 'wal-set-aside'],
    );
    await backInCluster(old, next.name);
  });

  step(
    'it is refused while a worker runs, and where the server takes writes; a standby that streams is left alone',
    async () => {
      const master = await two.master();
      const running = await rejoin(master);
      assert.equal(running.code, 4);
      assert.match(running.err, /a worker runs for/);
      const [standby] = two.cluster.nodes.filter(({ name }) => name !== master.name);
      assert.ok(standby !== undefined);
      // For a moment it does not, when it goes over to its slot.
      await until(
        'its worker runs, and it streams: nothing to do',
        async () => (await rejoin(standby)).code === 0,
      );
      await standby.worker.stop();
      const foreign = await rejoin(standby, '--from', 'host=127.0.0.1 port=1 user=nobody');
      assert.equal(foreign.code, 3, foreign.err);
      const other = two.cluster.nodes.find(({ name }) => name !== master.name && name !== standby.name);
      const fromStandby = await rejoin(standby, '--from', other?.server.conninfo(keeperRole) ?? '');
      assert.equal(fromStandby.code, 4);
      assert.match(fromStandby.err, /is a standby itself/);
      const startedAt = async () => {
        const sql = 'select pg_postmaster_start_time()::text as at';
        return (await standby.server.query<{ at: string }>(sql))[0]?.at;
      };
      const before = await startedAt();
      const again = await rejoin(standby);
      assert.equal(again.code, 0, again.err);
      const { detail, lost, streams } = JSON.parse(again.out) as Report;
      assert.deepEqual({ lost, streams }, { lost: null, streams: true });
      assert.match(detail, /streams from the master, .* already: nothing to do/);
      assert.equal(await startedAt(), before, 'it was not restarted');
      await backInCluster(standby, master.name);
    },
  );

  step('--copy makes it afresh, with its own settings', async () => {
    const master = await two.master();
    const [standby] = two.cluster.nodes.filter(({ name }) => name !== master.name);
    assert.ok(standby !== undefined);
    await standby.worker.stop();
    await standby.server.stop();
    const result = await rejoin(standby, '--copy');
    assert.equal(result.code, 0, result.err);
    assert.match((JSON.parse(result.out) as Report).detail, /fresh copy/);
    await backInCluster(standby, master.name);
  });

  step('the worker keeps aside what only its server had, and tells of it', async () => {
    const { old, next } = await deposed(4);
    const wall = Date.now();
    const before = existsSync(keptBy(old)) ? readdirSync(keptBy(old)).length : 0;
    old.worker.start();
    const { fields } = await old.worker.untilDecision('wal-set-aside', wall, 60_000);
    if (counts) assert.ok(Number(fields['commits']) >= 4, JSON.stringify(fields));
    assert.ok(existsSync(join(String(fields['folder']), 'lost-wal.json')));
    assert.equal(readdirSync(keptBy(old)).length, before + 1);
    await backInCluster(old, next.name);
    await until('the cluster knows it too', async () => {
      const rows = await next.server.query(
        `select from pgkeeper.events where code = 'wal-set-aside' and node = $1`,
        [old.name],
      );
      return rows.length > 0;
    });
  });

  step('data that were half rewound when worker and host died are made anew by the next worker', async () => {
    const master = await two.master();
    const [standby] = two.cluster.nodes.filter(({ name }) => name !== master.name);
    assert.ok(standby !== undefined);
    const { dataDirectory } = standby.server;
    await standby.worker.kill();
    standby.server.kill();
    await until('it is dead', () => !standby.server.isRunning());
    markUnfinished(dataDirectory, { what: 'rewind', source: 'n0:1', since: new Date().toISOString() });
    // No registry to read: the catalogs are gone.
    rmSync(join(dataDirectory, 'base', '1'), { recursive: true });
    writeFileSync(join(dataDirectory, 'global', 'pg_control'), Buffer.alloc(8192));
    const wall = Date.now();
    standby.worker.start();
    const { fields } = await standby.worker.untilDecision('server-started', wall, 60_000);
    assert.match(String(fields['detail']), new RegExp(`fresh copy of ${master.name}`));
    assert.equal(readUnfinished(dataDirectory), null);
    await backInCluster(standby, master.name);
  });

  step(
    'a rejoin that fails leaves the node fenced, says why, and is tried again with growing pauses',
    async () => {
      const { old, next } = await deposed(1);
      const programs = join(two.cluster.folder, 'programs');
      mkdirSync(programs);
      for (const name of readdirSync(installation.binDirectory))
        symlinkSync(join(installation.binDirectory, name), join(programs, name));
      for (const name of ['pg_rewind', 'pg_basebackup']) {
        rmSync(join(programs, name), { force: true });
        writeFileSync(join(programs, name), '#!/bin/sh\necho "out of order" >&2; exit 1\n', { mode: 0o755 });
      }
      const wall = Date.now();
      old.worker.start(['--bin-directory', programs]);
      const failures = await until('it has failed twice', () => {
        const found = old.worker.decisions(wall).filter(({ reason }) => reason === 'rejoin-failed');
        return found.length >= 2 ? found : null;
      });
      const pauses = failures.map(({ fields }) => Number(fields['retryMs']));
      assert.ok((pauses[1] ?? 0) > (pauses[0] ?? 0), pauses.join(', '));
      assert.match(failures[0]?.msg ?? '', /out of order/);
      const [row] = await until('its server runs in between', () =>
        old.server.query<{ standby: boolean; fenced: string }>(
          `select pg_is_in_recovery() as standby, current_setting('pg_keeper.fenced') as fenced`,
        ),
      );
      assert.deepEqual(row, { standby: true, fenced: 'on' });
      for (const name of ['pg_rewind', 'pg_basebackup']) {
        rmSync(join(programs, name));
        if (existsSync(join(installation.binDirectory, name)))
          symlinkSync(join(installation.binDirectory, name), join(programs, name));
      }
      await backInCluster(old, next.name);
      const folders = readdirSync(keptBy(old)).map((name) => join(keptBy(old), name, 'lost-wal.json'));
      const notes = folders.map((path) => readFileSync(path, 'utf8'));
      assert.equal(
        new Set(notes).size,
        notes.length,
        'the same loss is kept once, however often it is tried',
      );
    },
  );
});
