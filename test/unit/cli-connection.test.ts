/** Connection flags, PG* variables and conninfo in one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { conninfoOf, conninfoProblem } from '../../src/cli/connection-options.js';
import { CommandFailure } from '../../src/cli/exit-codes.js';
import { failureText } from '../../src/cli/failure-text.js';
import { hostsOf } from '../../src/cli/session.js';
import { sqlFailure } from '../../src/cli/sql-failure.js';
import { targetOf } from '../../src/postgres/connect.js';

test("psql's flags become a conninfo", () => {
  assert.equal(conninfoOf({}), '');
  assert.equal(
    conninfoOf({ host: 'h', port: '1', username: 'u', dbname: 'd' }),
    'host=h port=1 user=u dbname=d',
  );
  assert.equal(conninfoOf({ username: "o'neil x" }), "user='o\\'neil x'");
});

test('in a conninfo or URI given with -d the keywords count more than the flags', () => {
  assert.equal(conninfoOf({ dbname: 'host=a dbname=x', host: 'b', port: '2' }), 'host=a dbname=x port=2');
  assert.equal(conninfoOf({ dbname: 'postgresql://u@a:5/x', port: '2' }), 'user=u dbname=x host=a port=5');
});

test('a conninfo that cannot be read ends with the exit code of wrong usage, and masks what may be a password', () => {
  const failing = () => conninfoOf({ dbname: 'host=a password=my secret' });
  assert.throws(failing, (error: unknown) => {
    assert.ok(error instanceof CommandFailure);
    assert.equal(error.exitCode, 2);
    assert.doesNotMatch(error.message, /secret/);
    return true;
  });
});

test('a misspelt keyword is shown where no password can be meant', () => {
  assert.match(conninfoProblem('hots=a', 'invalid connection option "hots"'), /"hots"/);
  assert.doesNotMatch(conninfoProblem('password=a b=c', 'invalid connection option "b"'), /"b"/);
});

test('several hosts are tried one by one, with their ports', () => {
  assert.deepEqual(hostsOf('host=a,b port=1,2 user=u'), ['host=a port=1 user=u', 'host=b port=2 user=u']);
  assert.deepEqual(hostsOf('host=a,b port=1'), ['host=a port=1', 'host=b port=1']);
  assert.deepEqual(hostsOf('host=a'), ['host=a']);
});

test("the driver's words become an operator's", () => {
  const text = (kind: Parameters<typeof failureText>[0]['kind'], message: string) =>
    failureText({ kind, message });
  assert.equal(text('refused', 'connect ECONNREFUSED 10.0.0.1:5432'), 'connection refused by 10.0.0.1:5432');
  assert.equal(
    text('auth', 'SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string'),
    'the server asks for a password, and none was given',
  );
  assert.match(text('unreachable', 'getaddrinfo ENOTFOUND db'), /host name not found/);
  assert.equal(text('timeout', 'timeout expired'), 'no answer in time');
  assert.equal(
    text('auth', 'password authentication failed for user "u"'),
    'password authentication failed for user "u"',
  );
});

test('what the registry refuses has the exit code of its kind', () => {
  const codeOf = (code: string) => sqlFailure(Object.assign(new Error('no'), { code })).exitCode;
  assert.equal(codeOf('55000'), 4, 'refused for safety');
  assert.equal(codeOf('25006'), 4, 'on a standby');
  assert.equal(codeOf('22023'), 2, 'a bad value');
  assert.equal(codeOf('42622'), 2, 'a name too long');
  assert.equal(codeOf('08006'), 3, 'the other server does not answer');
  assert.equal(codeOf('55P03'), 5, 'a lock was not to be had in time');
  assert.equal(codeOf('42710'), 4, 'registered already');
  assert.equal(codeOf('42501'), 1, 'a missing right');
});

test('detail and hint of the server are kept, a missing registry is explained', () => {
  const refused = sqlFailure(
    Object.assign(new Error('no'), { code: '55000', detail: 'because', hint: 'do this' }),
  );
  assert.deepEqual(refused.hints, ['because', 'do this']);
  const missing = sqlFailure(Object.assign(new Error('schema "pgkeeper" does not exist'), { code: '3F000' }));
  assert.match(missing.hints.join(' '), /CREATE EXTENSION pg_keeper CASCADE.*pgkeeper migrate/);
});

test('a PG* variable that cannot be obeyed is refused, not passed over', () => {
  const whole = 'host=h port=1 user=u dbname=d';
  const cases: readonly (readonly [name: string, value: string, conninfo: string, refused: boolean])[] = [
    ['PGSERVICE', 'other', 'host=h', true],
    ['PGSERVICE', 'other', whole, false],
    ['PGREQUIREAUTH', 'scram-sha-256', whole, true],
    ['PGCHANNELBINDING', 'require', whole, true],
    ['PGCHANNELBINDING', 'prefer', whole, false],
  ];
  for (const [name, value, conninfo, refused] of cases) {
    process.env[name] = value;
    try {
      if (refused)
        assert.throws(() => targetOf(conninfo), new RegExp(`^ConninfoError: ${name} is not supported`));
      else assert.equal(targetOf(conninfo).host, 'h');
    } finally {
      delete process.env[name];
    }
  }
});
