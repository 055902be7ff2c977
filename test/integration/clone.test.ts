/** `pgkeeper clone` against real servers: what it makes, what it keeps, what it refuses before the first byte, what an interruption leaves. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { serverProcesses } from '../../src/process/processes.js';
import { keeperRole } from '../../src/testbed/cluster.js';
import { freshFolder } from '../../src/testbed/owned-folder.js';
import { until } from '../../src/testbed/until.js';
import { pgkeeper, start } from '../support/command-line.js';
import { FailoverCluster, installation, stepsOn } from '../support/failover-cluster.js';
import { giveAway } from '../support/owned-files.js';
import { skipLoudly } from '../support/skip.js';

const hasBaseBackup = existsSync(join(installation.binDirectory, 'pg_basebackup'));

describe('pgkeeper clone', { concurrency: false }, () => {
  let two: FailoverCluster;
  const from = (node = 'n1') => two.node(node).server.conninfo(keeperRole);
  const here = (name: string) => {
    const { dataDirectory, port, folder } = two.node(name).server;
    const settings = [`port=${port}`, `unix_socket_directories=${folder}`, `cluster_name=${name}`];
    return [...programs, '-D', dataDirectory, '--name', name, ...settings.flatMap((one) => ['--set', one])];
  };

  const programs = ['--bin-directory', installation.binDirectory];

  before(async () => {
    two = await FailoverCluster.create({ nodes: 2, syncNames: 'ANY 1 (n1, n2)' });
    await two.addServer('n3');
    await two
      .node('n1')
      .server.query(
        'create table ballast as select g, repeat(md5(g::text), 20) t from generate_series(1, 60000) g',
      );
  });

  after(async () => {
    await two.remove();
  });

  const step = stepsOn(() => two);

  step(
    'a fresh copy with --register is a standby, a registered node and a voter, and has every row',
    async () => {
      const result = await pgkeeper(['clone', '--from', from(), ...here('n3'), '--register', '--json']);
      assert.equal(result.code, 0, result.err);
      const report = JSON.parse(result.out) as Record<string, unknown>;
      assert.equal(report['voting'], true);
      assert.equal(report['registered'], true);
      assert.ok(Number(report['bytes']) > 1024 * 1024, result.out);
      two.node('n3').worker.start();
      await two.cluster.untilSettled('n1');
      const [row] = await two
        .node('n3')
        .server.query<{ standby: boolean; name: string; rows: number }>(
          `select pg_is_in_recovery() as standby, current_setting('pg_keeper.node_name') as name, (select count(*)::int from ballast) as rows`,
        );
      assert.deepEqual(row, { standby: true, name: 'n3', rows: 60_000 });
    },
  );

  step('it takes part in a failover', async () => {
    const old = await two.master();
    await two.untilAllVote(old.name);
    const next = await two.crash(old);
    await two.cluster.untilSettled(next.name);
    await two.assertNothingLost(next);
  });

  step('it refuses a directory where a server runs, whatever is forced', async () => {
    const master = (await two.master()).name;
    const result = await pgkeeper(['clone', '--from', from(master), ...here('n3'), '--force']);
    assert.equal(result.code, 4);
    assert.match(result.err, /a server runs in/);
  });

  step(
    'a node is made anew from a standby: its settings stay, the old data are kept until they are not wanted',
    async () => {
      const master = await two.master();
      const [standby] = two.cluster.nodes.filter(({ name }) => name !== master.name && name !== 'n3');
      const target = master.name === 'n3' ? two.node('n1') : two.node('n3');
      const source = !hasBaseBackup || standby?.name === target.name ? master : (standby ?? master);
      assert.equal(await target.worker.stop(), 0);
      await target.server.stop();
      const { dataDirectory } = target.server;
      const clone = ['clone', '--from', from(source.name), '-D', dataDirectory, ...programs];
      const unforced = await pgkeeper(clone);
      assert.equal(unforced.code, 4);
      assert.match(unforced.err, /is not empty/);
      const more = ['--slot', 'for_clone', '--rate-limit', '20M', '--json'];
      const forced = await pgkeeper([...clone, '--force', ...more]);
      assert.equal(forced.code, 0, forced.err);
      const { old, node } = JSON.parse(forced.out) as { old: string; node: string };
      assert.equal(node, target.name, 'its name is in its own settings');
      assert.ok(existsSync(join(old, 'PG_VERSION')), 'the old data are there');
      assert.match(
        readFileSync(join(dataDirectory, 'postgresql.auto.conf'), 'utf8'),
        /primary_slot_name = 'for_clone'/,
      );
      await target.server.start();
      target.worker.start();
      await two.cluster.untilSettled(master.name);
      const [slot] = await source.server.query<{ active: boolean }>(
        `select active from pg_replication_slots where slot_name = 'for_clone'`,
      );
      assert.ok(slot !== undefined, 'the slot was made on the source');
      rmSync(old, { recursive: true });
      await two.assertNothingLost(master);
    },
  );

  step('--register does for a node that is registered already', async () => {
    const master = await two.master();
    const target = two.node(master.name === 'n3' ? 'n1' : 'n3');
    await two.untilAllVote(master.name);
    assert.equal(await target.worker.stop(), 0);
    await target.server.stop();
    const { dataDirectory } = target.server;
    const clone = ['clone', '--from', from(master.name), '-D', dataDirectory, ...programs];
    const again = await pgkeeper([...clone, '--force', '--remove-old', '--register', '--json']);
    assert.equal(again.code, 0, again.err);
    const { registered, voting } = JSON.parse(again.out) as { registered: boolean; voting: boolean };
    assert.deepEqual({ registered, voting }, { registered: true, voting: true });
    target.worker.start();
    await two.cluster.untilSettled(master.name);
    await two.assertNothingLost(master);
  });

  step('interrupted half-way it leaves what was there; the next run says what it finds', async (context) => {
    // The backup functions know no rate, and are done before anybody can interrupt them.
    if (!hasBaseBackup) return skipLoudly(context, 'there is no pg_basebackup that could be slowed down');
    const master = await two.master();
    const folder = freshFolder(two.cluster.folder, 'half');
    const data = join(folder, 'data');
    const args = [
      ...['clone', '--from', from(master.name), ...programs, '-D', data],
      ...['--name', 'n9', '--rate-limit', '1M'],
    ];
    const copying = `${data}.pgkeeper-copy`;
    const interrupted = start(args);
    await until('it copies', () => existsSync(join(copying, 'base')));
    interrupted.child.kill('SIGINT');
    assert.equal(await interrupted.ended, 1);
    assert.match(interrupted.out(), /interrupted/);
    assert.deepEqual(readdirSync(folder), [], 'nothing is left');
    const killed = start(args);
    await until('it copies again', () => existsSync(join(copying, 'base')));
    killed.child.kill('SIGKILL');
    await killed.ended;
    assert.ok(existsSync(copying), 'half a copy is left');
    const again = await pgkeeper(args.slice(0, -2));
    assert.equal(again.code, 0, again.err);
    assert.match(again.err, /an earlier copy was broken off/);
    assert.deepEqual(readdirSync(folder), ['data']);
    assert.equal(serverProcesses(data).length, 0);
    const { primary_conninfo: follow } = Object.fromEntries(
      readFileSync(join(data, 'postgresql.auto.conf'), 'utf8')
        .split('\n')
        .map((line) => line.split(' = ')),
    ) as Record<string, string>;
    assert.match(follow ?? '', /application_name=n9/);
    rmSync(folder, { recursive: true });
  });

  step('what would break the copy or the standby is refused before the first byte', async () => {
    const master = await two.master();
    const folder = freshFolder(two.cluster.folder, 'refused');
    const data = join(folder, 'data');
    const clone = (conninfo: string, ...more: string[]) =>
      pgkeeper([
        'clone',
        '--from',
        conninfo,
        '-D',
        data,
        ...(more.includes('--bin-directory') ? [] : programs),
        ...more,
      ]);
    const name = (one: string) => ['--name', one];
    const cases: readonly [string, () => ReturnType<typeof clone>, number, RegExp][] = [
      ['no name', () => clone(from(master.name)), 2, /needs a name/],
      ['nobody there', () => clone('host=127.0.0.1 port=1 user=x', ...name('n9')), 3, /cannot connect/],
      ['own name', () => clone(from(master.name), ...name(master.name)), 4, /the source itself is/],
      [
        'a namesake',
        () => clone(from(master.name), ...name(master.name === 'n2' ? 'n1' : 'n2')),
        4,
        /streams as/,
      ],
      [
        'a bad rate',
        () => clone(from(master.name), ...name('n9'), '--rate-limit', 'fast'),
        2,
        /--rate-limit/,
      ],
    ];
    for (const [what, run, code, message] of cases) {
      const result = await run();
      assert.equal(result.code, code, `${what}: ${result.err}`);
      assert.match(result.err, message, what);
    }
    await master.server.query('create role plain login');
    const plain = await clone(master.server.conninfo('plain'), '--name', 'n9', '--register');
    assert.equal(plain.code, 4);
    assert.match(plain.err, /needs REPLICATION/);
    assert.match(plain.err, /- the source has no registry with a master in it that this role may read/);
    const { dataDirectory } = master.server;
    const all = await pgkeeper([
      ...['clone', '--from', from(master.name), '-D', dataDirectory, ...programs, '--name', master.name],
      ...['--rate-limit', 'fast', '--timeout', 'soon'],
    ]);
    assert.equal(all.code, 2, 'the command line is to be mended too');
    assert.match(all.err, /\d things stand against this copy/);
    const every = [
      /the source itself is/,
      /a server runs in/,
      /is not empty/,
      /--rate-limit/,
      /--timeout/,
      /at work on/,
    ];
    for (const one of every) assert.match(all.err, one);
    const hba = join(master.server.dataDirectory, 'pg_hba.conf');
    const rules = readFileSync(hba, 'utf8');
    writeFileSync(hba, `host replication barred all reject\n${rules}`);
    await master.server.query('create role barred login replication');
    await master.server.query('select pg_reload_conf()');
    const barred = await until('the rule counts', async () => {
      const result = await clone(master.server.conninfo('barred'), '--name', 'n9');
      return result.code === 4 ? result : null;
    });
    assert.match(barred.err, /pg_hba\.conf there needs a line/);
    writeFileSync(hba, rules);
    await master.server.query('select pg_reload_conf()');
    const wrongPrograms = join(folder, 'programs');
    mkdirSync(wrongPrograms);
    const otherMajor = installation.major === 14 ? 15 : 14;
    for (const name of ['initdb', 'pg_ctl', 'postgres'])
      writeFileSync(join(wrongPrograms, name), `#!/bin/sh\necho "postgres (PostgreSQL) ${otherMajor}.1"\n`, {
        mode: 0o755,
      });
    const wrong = await clone(from(master.name), '--name', 'n9', '--bin-directory', wrongPrograms);
    assert.equal(wrong.code, 4);
    assert.match(wrong.err, new RegExp(`holds PostgreSQL ${otherMajor}\\.1, and the source runs`));
    rmSync(wrongPrograms, { recursive: true });
    assert.deepEqual(readdirSync(folder), [], 'nothing was made');
    rmSync(folder, { recursive: true });
  });

  test('as root a place that belongs to root is refused', { skip: process.getuid?.() !== 0 }, async () => {
    const folder = freshFolder(two.cluster.folder, 'of-root');
    giveAway(folder, 0, 0);
    const result = await pgkeeper([
      'clone',
      '--from',
      from((await two.master()).name),
      '-D',
      join(folder, 'd'),
      '--name',
      'n9',
    ]);
    assert.equal(result.code, 4);
    assert.match(result.err, /belongs to root/);
  });
});
