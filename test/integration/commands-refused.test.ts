/** The commands against servers that are no cluster, and used wrongly. */
import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { makeTestFolder } from '../../src/testbed/cluster.js';
import { findPostgres } from '../../src/testbed/find-postgres.js';
import { freePort } from '../../src/testbed/free-port.js';
import { TestServer } from '../../src/testbed/server.js';
import { until } from '../../src/testbed/until.js';
import { TestWorker } from '../../src/testbed/worker-process.js';
import { pgkeeper, program } from '../support/command-line.js';
import { failed, parsed } from '../support/outcomes.js';

const installation = findPostgres(process.env['PGKEEPER_TEST_BIN'] ?? null);

describe('commands on a server that is no cluster', { concurrency: false }, () => {
  const folder = makeTestFolder();
  let server: TestServer;
  const at = () => ['-d', server.conninfo()];

  before(async () => {
    server = new TestServer({
      name: 'alone',
      folder,
      port: await freePort('127.0.0.1'),
      host: '127.0.0.1',
      installation,
      settings: { password_encryption: 'scram-sha-256' },
    });
    await server.initialise();
    const rules = join(server.dataDirectory, 'pg_hba.conf');
    writeFileSync(rules, `host all secretive all scram-sha-256\n${readFileSync(rules, 'utf8')}`);
    await server.start();
    await server.query(`create role secretive superuser login password 'it''s a \\ secret'`);
  });
  after(async () => {
    await server.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  test('every command says that the objects are missing, and how to get them', async () => {
    for (const command of ['status', 'explain', 'events', 'uri'])
      failed(
        await pgkeeper([command, ...at()]),
        1,
        /objects are not in (this )?database[\s\S]*CREATE EXTENSION pg_keeper CASCADE/,
      );
    const checked = await pgkeeper(['check', ...at()]);
    assert.equal(checked.code, 1);
    assert.match(checked.out, /pgkeeper objects are not installed/);
  });

  test('migrate installs, does nothing the second time, and takes everything away again', async () => {
    const run = async (...args: string[]) => {
      const outcome = await pgkeeper(['migrate', ...args, ...at()]);
      assert.equal(outcome.code, 0, outcome.err);
      return outcome.err;
    };
    assert.match(await run(), /installed: 0001_pg_keeper-0\.1\.0, 0002_pg_keeper/);
    assert.match(await run(), /nothing to do/);
    const empty = await pgkeeper(['status', '--json', ...at()]);
    assert.deepEqual(parsed<{ readonly nodes: readonly unknown[] }>(empty).nodes, []);
    assert.match(await run('--down'), /removed: 0002_pg_keeper-[\d.]+, 0001_pg_keeper/);
    const [row] = await server.query<{ there: boolean }>(
      `select exists (select from pg_namespace where nspname like 'pgkeeper%') as there`,
    );
    assert.equal(row?.there, false);
  });

  test('passwords: missing, wrong, and one with quotes and backslashes in every form', async () => {
    const target = `host=127.0.0.1 port=${server.port} dbname=postgres user=secretive`;
    const status = (conninfo: string, env: Record<string, string> = {}) =>
      pgkeeper(['status', '-d', conninfo], env);
    failed(await status(target), 3, /asks for a password, and none was given/);
    failed(await status(target, { PGPASSWORD: 'wrongone' }), 3, /password authentication failed/);
    assert.doesNotMatch((await status(target, { PGPASSWORD: 'wrongone' })).err, /wrongone/);
    const missing = /objects are not in database/;
    failed(await status(target, { PGPASSWORD: "it's a \\ secret" }), 1, missing);
    failed(await status(`${target} password='it\\'s a \\\\ secret'`), 1, missing);
    failed(
      await status(`postgresql://secretive:it%27s%20a%20%5C%20secret@127.0.0.1:${server.port}/postgres`),
      1,
      missing,
    );
  });

  test('root without a role is told to be the owner', { skip: process.getuid?.() !== 0 }, async () => {
    const outcome = await pgkeeper(['status', '-h', '127.0.0.1', '-p', String(server.port)]);
    failed(outcome, 3, /role "root" does not exist[\s\S]*sudo -u \S+ pgkeeper status/);
  });

  test('what is wrong with a command line or a way to a server has its exit code and no secret in it', async () => {
    failed(await pgkeeper(['status', '--nonsense']), 2, /unknown option '--nonsense'/);
    failed(await pgkeeper(['nonsense']), 2, /unknown command 'nonsense'/);
    failed(await pgkeeper(['help', 'nonsense']), 2, /unknown command 'nonsense'/);
    failed(await pgkeeper(['demo', '--nodes', 'abc']), 2, /--nodes abc: not a number/);
    failed(await pgkeeper(['demo', '--bin', '/nowhere']), 2, /\/nowhere holds no/);
    failed(await pgkeeper(['status', 'extra']), 2, /too many arguments/);
    failed(await pgkeeper(['status', '-p', 'abc']), 2, /invalid port number/);
    failed(await pgkeeper(['status', '-d', 'host=a sslmode=maybe']), 2, /invalid sslmode/);
    failed(
      await pgkeeper(['status', '-h', '127.0.0.1', '-p', '1']),
      3,
      /cannot connect to 127\.0\.0\.1:1 .*connection refused/,
    );
    failed(await pgkeeper(['status', '-h', '/nowhere']), 3, /no such socket/);
    failed(
      await pgkeeper(['status', '-d', server.conninfo('postgres', 'nodb')]),
      3,
      /database "nodb" does not exist/,
    );
    failed(await pgkeeper(['events', '--limit', 'many', ...at()]), 2, /--limit many/);
    const secret = await pgkeeper(['status', '-d', 'host=a password=hush word']);
    failed(secret, 2, /single quotes/);
    assert.doesNotMatch(secret.err, /hush|word"/);
  });

  test('a worker lists everything that is wrong with its settings', async () => {
    const outcome = await pgkeeper([
      'worker',
      '-D',
      server.dataDirectory,
      ...at(),
      '--lease-ttl',
      '1h',
      '--quorum',
      'most',
    ]);
    failed(outcome, 2, /node_name is not set/);
    assert.match(outcome.err, /lease_ttl = '1h' \(--lease-ttl\)/);
    assert.match(outcome.err, /quorum = 'most' \(--quorum\)/);
    failed(await pgkeeper(['worker', '-D', folder, ...at()]), 2, /is not a data directory/);
    failed(await pgkeeper(['worker', '-h', '127.0.0.1', '-p', '1']), 3, /its data directory is not known/);
  });

  test('a server that was never a node is left as it is, also where its worker finds it crashed', async () => {
    const worker = new TestWorker({ program, server, conninfo: server.conninfo() });
    server.kill();
    await until('the server is dead', () => !server.isRunning());
    worker.start(['--node-name', 'alone']);
    try {
      await worker.untilDecision('server-lost', 0);
      // The kernel may not be done with the dead one yet.
      await until('the server starts', () =>
        server.start().then(
          () => true,
          () => false,
        ),
      );
      await worker.untilDecision('not-registered', 0);
      assert.deepEqual(await server.query('select pg_is_in_recovery() as standby'), [{ standby: false }]);
      assert.ok(!worker.decisions(0).some(({ reason }) => reason === 'server-crashed'));
    } finally {
      await worker.stop();
    }
  });

  test('version and help need no server', async () => {
    assert.match((await pgkeeper(['--version'])).out, /^\d+\.\d+\.\d+\n$/);
    const help = await pgkeeper(['worker', '--help']);
    assert.equal(help.code, 0);
    assert.match(help.out, /--keepalive-time <DURATION>/);
    assert.equal((await pgkeeper([])).code, 2);
  });
});
