/** The demo as a program: what it says, and that it leaves nothing behind, however it ends. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { until } from '../../src/testbed/until.js';
import { pgkeeper, start } from '../support/command-line.js';
import { installation } from '../support/registry-servers.js';

const bin = ['--bin', installation.binDirectory];

/** Other things run on the machine: only segments that nobody is attached to are leftovers, and only new ones count. */
function unusedSegments(): readonly string[] {
  const table = '/proc/sysvipc/shm';
  if (!existsSync(table)) return [];
  return readFileSync(table, 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((row) => row[6] === '0')
    .map((row) => `segment ${row[1]}`);
}

/** PostgreSQL's in /dev/shm, that no living process has mapped. */
function unusedFiles(): readonly string[] {
  if (!existsSync('/dev/shm')) return [];
  const mapped = readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/maps`, 'utf8');
      } catch {
        return '';
      }
    })
    .join('');
  return readdirSync('/dev/shm').filter((name) => name.startsWith('PostgreSQL.') && !mapped.includes(name));
}

const leftovers = () => [...unusedSegments(), ...unusedFiles()];

function folderIn(out: string): string {
  const folder = / in (\/\S*\/pgkeeper-\w+)\n/.exec(out)?.[1];
  assert.ok(folder !== undefined, out);
  return folder;
}

test('the demo', { concurrency: false }, async (suite) => {
  await suite.test('kills a master, loses nothing, and leaves no folder and no memory', async () => {
    const before = leftovers();
    const { code, out, err } = await pgkeeper(['demo', ...bin]);
    assert.equal(code, 0, err);
    assert.match(out, /^acknowledged rows, counted on n[23] +[1-9]\d*$/m);
    assert.match(out, /^of these lost +0$/m);
    assert.ok(!existsSync(folderIn(out)));
    assert.deepEqual(
      leftovers().filter((one) => !before.includes(one)),
      [],
    );
  });

  await suite.test('interrupted while it runs it does the same', async () => {
    const before = leftovers();
    const demo = start(['demo', ...bin]);
    await until('a client writes', () => /a client begins to write/.test(demo.out()));
    await delay(500);
    demo.child.kill('SIGINT');
    assert.equal(await demo.ended, 1);
    assert.ok(!existsSync(folderIn(demo.out())));
    assert.deepEqual(
      leftovers().filter((one) => !before.includes(one)),
      [],
    );
  });
});
