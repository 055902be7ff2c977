/** A copy whose source freezes or dies in the middle ends by a deadline, and what was to be replaced is as it was. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { copyFrom } from '../../src/process/copy/base-copy.js';
import { endOrphans } from '../../src/process/copy/unfinished-data.js';
import { makeTestFolder } from '../../src/testbed/cluster.js';
import { findPostgres } from '../../src/testbed/find-postgres.js';
import { freePort } from '../../src/testbed/free-port.js';
import { freshFolder } from '../../src/testbed/owned-folder.js';
import { TestServer } from '../../src/testbed/server.js';
import { until } from '../../src/testbed/until.js';
import { skipLoudly } from '../support/skip.js';
import { startKilled } from '../support/start-killed.js';

const installation = findPostgres(process.env['PGKEEPER_TEST_BIN'] ?? null);
const hasBaseBackup = existsSync(join(installation.binDirectory, 'pg_basebackup'));
const silentMs = 2000;

describe('a source that is lost while it is copied', { concurrency: false }, () => {
  const folder = makeTestFolder();
  let source: TestServer;
  let data: string;

  before(async () => {
    source = new TestServer({
      name: 'source',
      folder,
      port: await freePort('127.0.0.1'),
      host: '127.0.0.1',
      installation,
      settings: {},
    });
    await source.initialise();
    await source.start();
    await source.query(
      'create table ballast as select g, repeat(md5(g::text), 20) t from generate_series(1, 60000) g',
    );
    data = freshFolder(folder, 'target');
    writeFileSync(join(data, 'precious'), 'x');
  });

  after(async () => {
    await source.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  const begin = () =>
    copyFrom({
      source: source.conninfo(),
      dataDirectory: data,
      binDirectory: installation.binDirectory,
      rateLimit: '1M',
      silentMs,
    });

  const losses: readonly [string, () => void, RegExp][] = [
    ['freezes', () => source.freeze(), /has not answered for 2 s/],
    ['dies', () => source.kill(), /pg_basebackup: exit code|has not answered/],
  ];
  for (const [how, lose, message] of losses) {
    test(`it ${how}`, async (context) => {
      if (!hasBaseBackup) return skipLoudly(context, 'there is no pg_basebackup that could be slowed down');
      const copying = begin();
      const ended = copying.then(
        () => null,
        (error: unknown) => error,
      );
      await until('it copies', () => existsSync(join(`${data}.pgkeeper-copy`, 'base')));
      lose();
      const error = await ended;
      assert.ok(error instanceof Error);
      assert.match(error.message, message);
      assert.equal(readFileSync(join(data, 'precious'), 'utf8'), 'x');
      assert.equal(existsSync(`${data}.pgkeeper-copy`), false);
      assert.equal(endOrphans(`${data}.pgkeeper-copy`), false, 'no program goes on by itself');
      source.thaw();
      if (!source.isRunning()) await startKilled(source);
    });
  }
});
