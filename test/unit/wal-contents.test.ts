/** What pg_waldump says, as 14 and as newer versions say it: how far WAL goes, and how many commits are in it. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { formatLsn, parseLsn } from '../../src/core/lsn.js';
import { walContents } from '../../src/process/copy/wal-files.js';

const rows = `Type                          N      (%)     Record size      (%)
----                          -      ---     -----------      ---
XLOG/CHECKPOINT_SHUTDOWN      1 ( 10.00)             114 ( 10.00)
Transaction/COMMIT            3 ( 30.00)             102 ( 10.00)
Transaction/COMMIT_PREPARED   1 ( 10.00)              34 (  3.00)
Heap/INSERT                   5 ( 50.00)             500 ( 50.00)
                       --------                 --------
Total                        10                      750 [77.00%]`;

/** The last record begins where "error in WAL record at" says. */
const end =
  'error in WAL record at 0/5000F28: invalid record length at 0/5000FA0: expected at least 24, got 0';

describe('the words of pg_waldump', () => {
  let folder: string;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'pgkeeper-waldump-'));
    mkdirSync(join(folder, 'pg_wal'));
  });

  after(() => rmSync(folder, { recursive: true, force: true }));

  /** A program of that name which says this and fails, as pg_waldump does at the end of WAL. */
  function read(output: string) {
    const said = join(folder, 'said');
    writeFileSync(said, `${output}\n`);
    writeFileSync(join(folder, 'pg_waldump'), `#!/bin/sh\ncat '${said}'\nexit 1\n`, { mode: 0o755 });
    return walContents(folder, folder, 1, parseLsn('0/5000F28'));
  }

  const cases: readonly (readonly [title: string, output: string, to: string])[] = [
    [
      '15 and newer begin with the range',
      `WAL statistics between 0/5000F28 and 0/5000FA0:\n${rows}\npg_waldump: error: ${end}`,
      '0/5000FA0',
    ],
    ['14 tells the end only in its error', `${rows}\npg_waldump: fatal: ${end}`, '0/5000FA0'],
    [
      'of any other error only the begin of the last record is used',
      `${rows}\npg_waldump: fatal: error in WAL record at 0/5000F70: incorrect resource manager data checksum in record at 0/6000028`,
      '0/5000F70',
    ],
  ];
  for (const [title, output, to] of cases)
    test(title, async () => {
      const contents = await read(output);
      assert.ok(contents !== null && contents !== 'nothing');
      assert.deepEqual({ ...contents, to: formatLsn(contents.to) }, { to, commits: 4 });
    });

  test('no record there is nothing, words of another kind are no answer', async () => {
    const none = 'pg_waldump: fatal: could not find a valid record after 0/5000F28';
    assert.equal(await read(none), 'nothing');
    assert.equal(await read('pg_waldump: something else'), null);
  });

  test('without pg_waldump there is no answer', async () => {
    assert.equal(await walContents(join(folder, 'pg_wal'), folder, 1, parseLsn('0/0')), null);
  });
});
