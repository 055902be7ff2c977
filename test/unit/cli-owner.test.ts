/** Commands that are run as another user than the server's owner. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ownerHint, serverOwner, strangersHint, userNameOf } from '../../src/cli/server-owner.js';
import { unreachable } from '../../src/cli/session.js';

const nowhere = { host: '/nowhere', port: 5432, user: 'root' };

test('root without a role is told to be the owner of the server, anybody else is not', () => {
  const root = { uid: 0, command: 'status' };
  assert.match(
    ownerHint(nowhere, null, root) ?? '',
    /sudo -u postgres pgkeeper status \.\.\.; or give a role with -U/,
  );
  assert.equal(ownerHint({ ...nowhere, user: 'pgkeeper' }, null, root), null, 'a role was given');
  assert.equal(ownerHint(nowhere, null, { ...root, uid: 26 }), null, 'not root');
});

test('the owner is that of the data directory, where it is known, and not root', () => {
  const folder = mkdtempSync(join(tmpdir(), 'pgkeeper-owner-'));
  try {
    const { uid } = statSync(folder);
    assert.equal(serverOwner(folder, nowhere), uid === 0 ? 'postgres' : userNameOf(uid));
    assert.equal(serverOwner(join(folder, 'gone'), nowhere), 'postgres');
    const own = { uid: uid + 1, command: 'rejoin' };
    const owner = uid === 0 ? 'postgres' : userNameOf(uid);
    assert.ok(strangersHint(folder, own)?.includes(`sudo -u ${owner} pgkeeper rejoin`));
    assert.equal(strangersHint(folder, { ...own, uid }), null, 'his own');
    assert.equal(strangersHint(folder, { ...own, uid: 0 }), null, 'root may read it');
    assert.equal(strangersHint(undefined, own), null);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a user is called by its name, and by its number where it has none', () => {
  const passwd = 'root:x:0:0::/:/bin/sh\npostgres:x:26:26::/var/lib/pgsql:/bin/sh\n';
  assert.equal(userNameOf(26, passwd), 'postgres');
  assert.equal(userNameOf(27, passwd), "'#27'");
});

test('the hint comes with the failure to be let in, and with no other', {
  skip: process.getuid?.() !== 0,
}, () => {
  const conninfo = 'host=/nowhere user=root';
  const hintsOf = (kind: 'auth' | 'refused') =>
    unreachable(conninfo, { kind, message: 'no' }, null).hints.join();
  assert.match(hintsOf('auth'), /sudo -u postgres/);
  assert.doesNotMatch(hintsOf('refused'), /sudo/);
});
