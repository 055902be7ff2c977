/** A guard that was started and not met yet hears what has changed since: else it would end a server that was let start. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { GuardLink } from '../../src/process/guard/guard-link.js';
import { until } from '../../src/testbed/until.js';

test('a guard that nobody has met yet is told to stand down', {
  skip: process.platform !== 'linux',
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pgkeeper-guard-link-'));
  const heard = join(folder, 'heard');
  // Reads its orders and listens nowhere.
  const deaf = `process.stdin.pipe(require('node:fs').createWriteStream(process.argv[1]))`;
  const link = new GuardLink({
    dataDirectory: () => folder,
    command: [process.execPath, '-e', deaf, heard],
    log: () => undefined,
  });
  const lines = () => (existsSync(heard) ? readFileSync(heard, 'utf8').trim().split('\n') : []);
  try {
    link.tell({ kind: 'end-at', at: performance.now() + 60_000, syncWished: false, proven: true });
    await until('it has its first order', async () => lines().length === 1);
    link.tell({ kind: 'stand-down' });
    await until('it has the next one', async () => lines().length === 2, 5000);
    assert.match(lines()[1] ?? '', /stand-down|down/);
  } finally {
    await link.end(false);
    rmSync(folder, { recursive: true, force: true });
  }
});
