/** Which objects a program works with, and what it says of others. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judgeSchema } from '../../src/postgres/schema-version.js';

test('objects of another patch release fit', () => {
  assert.deepEqual(judgeSchema({ kind: 'migration', version: '0.2.7' }, '0.2.0'), {
    kind: 'usable',
    version: '0.2.7',
  });
});

test('older objects are worked with, and the way to newer ones is that by which they came', () => {
  const found = (['extension', 'migration'] as const).map((kind) =>
    judgeSchema({ kind, version: '0.1.0' }, '0.2.0'),
  );
  for (const verdict of found) {
    assert.ok(verdict.kind === 'differs');
    assert.match(verdict.reason, /objects have version 0\.1\.0, this program is 0\.2\.0/);
  }
  const [extension, migration] = found.map((verdict) => ('mend' in verdict ? verdict.mend : ''));
  assert.match(extension ?? '', /ALTER EXTENSION pg_keeper UPDATE/);
  assert.match(migration ?? '', /pgkeeper migrate/);
});

test('newer objects are worked with too; none, or somebody else’s, are not', () => {
  const newer = judgeSchema({ kind: 'migration', version: '1.0.0' }, '0.2.0');
  assert.equal(newer.kind, 'differs');
  assert.equal(judgeSchema({ kind: 'missing' }, '0.2.0').kind, 'unusable');
  assert.equal(judgeSchema({ kind: 'foreign', detail: 'theirs' }, '0.2.0').kind, 'unusable');
});
