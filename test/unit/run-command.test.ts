/** Programs that root runs as the owner of a data directory. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runProgram } from '../../src/process/run-command.js';

const rows = (file: string) =>
  readFileSync(file, 'utf8')
    .split('\n')
    .map((line) => line.split(':'));

/** A user, not root, whom /etc/group names in a group that is not his first. */
function userOfSeveralGroups(): { name: string; uid: number; gid: number } | null {
  const members = new Set(rows('/etc/group').flatMap(([, , , names]) => (names ?? '').split(',')));
  const row = rows('/etc/passwd').find(
    ([name, , uid]) => uid !== '0' && members.has(name ?? '') && name !== '',
  );
  return row === undefined ? null : { name: String(row[0]), uid: Number(row[2]), gid: Number(row[3]) };
}

const user = userOfSeveralGroups();
const skip =
  process.getuid?.() !== 0 || user === null || !existsSync('/usr/bin/setpriv')
    ? 'needs root, setpriv and a user of several groups'
    : false;

test('a program run as the owner of a folder has all groups of that user, so that it reads a TLS key as he does', {
  skip,
}, async () => {
  assert.ok(user !== null);
  const folder = mkdtempSync(join(tmpdir(), 'pgkeeper-groups-'));
  try {
    chownSync(folder, user.uid, user.gid);
    const result = await runProgram('id', ['-G'], { deadlineMs: 10_000, asOwnerOf: folder, readsAll: true });
    const sorted = (text: string) => text.trim().split(' ').sort();
    assert.deepEqual(
      sorted(result.output),
      sorted(execFileSync('id', ['-G', user.name], { encoding: 'utf8' })),
    );
    const who = await runProgram('id', ['-un'], { deadlineMs: 10_000, asOwnerOf: folder, readsAll: true });
    assert.equal(who.output, user.name);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
