/** What a program of PostgreSQL is given to connect with shows no secret on its command line. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { withProgramAccess } from '../../src/process/secrets.js';

test('a password goes by environment, and no file is written for it', async () => {
  const access = await withProgramAccess('host=a password=geheim', tmpdir(), (given) =>
    Promise.resolve(given),
  );
  assert.ok(!access.conninfo.includes('geheim'));
  assert.deepEqual(access.environment, { PGPASSWORD: 'geheim' });
});

test('the password of a key goes by a service file for its owner alone, gone afterwards', async () => {
  const conninfo = "host=a sslkey=/k sslpassword='ge heim=1'";
  const file = await withProgramAccess(conninfo, tmpdir(), (access) => {
    const written = access.environment['PGSERVICEFILE'] ?? '';
    assert.ok(!access.conninfo.includes('heim'));
    assert.match(access.conninfo, /service=pgkeeper/);
    assert.equal(readFileSync(written, 'utf8'), '[pgkeeper]\nsslpassword=ge heim=1\n');
    assert.equal(statSync(written).mode & 0o777, 0o600);
    return Promise.resolve(written);
  });
  assert.ok(!existsSync(file));
});

test('what a service file cannot hold is refused with a word that does not tell it', async () => {
  const call = withProgramAccess("host=a sslpassword=' geheim'", tmpdir(), () => Promise.resolve());
  await assert.rejects(call, /^Error: sslpassword begins or ends with a space/);
});
