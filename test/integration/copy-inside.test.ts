/** Copies that cannot be made beside what they replace, here because of tablespaces: made inside, after what is there was removed. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { changeConfiguration } from '../../src/process/configuration-change.js';
import { readUnfinished } from '../../src/process/copy/unfinished-data.js';
import { makeTestFolder } from '../../src/testbed/cluster.js';
import { findPostgres } from '../../src/testbed/find-postgres.js';
import { freePort } from '../../src/testbed/free-port.js';
import { freshFolder } from '../../src/testbed/owned-folder.js';
import { TestServer } from '../../src/testbed/server.js';
import { until } from '../../src/testbed/until.js';
import { pgkeeper, start } from '../support/command-line.js';
import { skipLoudly } from '../support/skip.js';

const installation = findPostgres(process.env['PGKEEPER_TEST_BIN'] ?? null);
const why = existsSync(join(installation.binDirectory, 'pg_basebackup'))
  ? null
  : 'no pg_basebackup, without which tablespaces are refused';

test('tablespaces can be copied here', (context) => {
  if (why !== null) skipLoudly(context, why);
});

describe('a copy in place', { concurrency: false, skip: why ?? false }, () => {
  const folder = makeTestFolder();
  let source: TestServer;
  let target: TestServer;
  let here: string;
  let clone: readonly string[];

  before(async () => {
    const place = async (name: string) => ({
      name,
      folder,
      port: await freePort('127.0.0.1'),
      host: '127.0.0.1',
      installation,
      settings: {},
    });
    source = new TestServer(await place('source'));
    await source.initialise();
    await source.start();
    const there = freshFolder(folder, 'space-of-source');
    here = freshFolder(folder, 'space-of-target');
    await source.query(`create tablespace elsewhere location '${there}'`);
    await source.query(
      'create table ballast tablespace elsewhere as select g, repeat(md5(g::text), 20) t from generate_series(1, 60000) g',
    );
    target = new TestServer(await place('target'));
    clone = [
      ...['clone', '--from', source.conninfo(), '-D', target.dataDirectory, '--name', 'target'],
      ...['--tablespace-mapping', `${there}=${here}`, '--bin-directory', installation.binDirectory],
      ...['--set', `port=${target.port}`, '--set', `unix_socket_directories=${target.folder}`],
    ];
  });

  after(async () => {
    await target.remove();
    await source.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  const assertWhole = async () => {
    await target.start();
    await until('it streams', async () => {
      const rows = await source.query(`select from pg_stat_replication where application_name = 'target'`);
      return rows.length === 1;
    });
    const [row] = await target.query<{ rows: number }>('select count(*)::int as rows from ballast');
    assert.equal(row?.rows, 60_000);
    await target.stop();
  };

  test('a first copy puts the tablespace where it is told', async () => {
    const result = await pgkeeper(clone);
    assert.equal(result.code, 0, result.err);
    const links = join(target.dataDirectory, 'pg_tblspc');
    assert.deepEqual(
      readdirSync(links).map((name) => readlinkSync(join(links, name))),
      [here],
    );
    await assertWhole();
  });

  test('what is there cannot be kept, and only goes where that is allowed', async () => {
    const refused = await pgkeeper([...clone, '--force']);
    assert.equal(refused.code, 4);
    assert.match(refused.err, /cannot be kept/);
    assert.ok(existsSync(join(target.dataDirectory, 'PG_VERSION')));
    changeConfiguration(join(target.dataDirectory, 'postgresql.conf'), { work_mem: '7MB' });
    const result = await pgkeeper([...clone, '--force', '--remove-old']);
    assert.equal(result.code, 0, result.err);
    assert.match(readFileSync(join(target.dataDirectory, 'postgresql.conf'), 'utf8'), /work_mem = '7MB'/);
    assert.equal(readUnfinished(target.dataDirectory), null);
    await assertWhole();
  });

  test('killed half-way it leaves a mark and the configuration, and the next run needs no force', async () => {
    writeFileSync(join(target.dataDirectory, 'old-file'), 'x');
    const killed = start([...clone, '--force', '--remove-old', '--rate-limit', '1M']);
    await until(
      'it copies',
      () => readUnfinished(target.dataDirectory) !== null && readdirSync(here).length > 0,
    );
    killed.child.kill('SIGKILL');
    await killed.ended;
    assert.equal(readUnfinished(target.dataDirectory)?.what, 'copy');
    for (const name of ['PG_VERSION', 'postgresql.conf', 'postgresql.auto.conf', 'pg_hba.conf'])
      assert.ok(existsSync(join(target.dataDirectory, name)), name);
    const again = await pgkeeper(clone);
    assert.equal(again.code, 0, again.err);
    assert.match(again.err, /holds half of a copy from/);
    assert.deepEqual(
      readdirSync(target.dataDirectory).filter((name) => /^old-file$|pgkeeper-copy|unfinished/.test(name)),
      [],
    );
    await assertWhole();
  });
});
