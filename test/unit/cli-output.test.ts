/** How results are printed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { counted, formatBytes, tableLines, wrapped } from '../../src/cli/output.js';

test('columns are as wide as their widest cell, numbers to the right, what is missing is a dash', () => {
  assert.deepEqual(
    tableLines(
      ['NAME', 'SIZE', 'OK'],
      [
        ['a', 1, true],
        ['long name', 200, null],
      ],
    ),
    ['NAME       SIZE  OK', 'a             1  yes', 'long name   200  -'],
  );
});

test('a table without rows is its headings', () => {
  assert.deepEqual(tableLines(['A', 'B'], []), ['A  B']);
});

test('bytes are shown in the unit a person would choose', () => {
  assert.equal(formatBytes(0), '0 B');
  assert.equal(formatBytes(1023), '1023 B');
  assert.equal(formatBytes(1536), '1.5 kB');
  assert.equal(formatBytes(5 * 1024 ** 3), '5.0 GB');
  assert.equal(formatBytes(null), null);
});

test('long sentences are wrapped at blanks and no word is lost', () => {
  const text = 'one two three four five six';
  const lines = wrapped(text, '  ', 12).split('\n');
  assert.ok(lines.every((line) => line.length <= 12));
  assert.equal(lines.map((line) => line.trim()).join(' '), text);
});

test('one thing is not plural', () => {
  assert.equal(counted(1, 'problem'), '1 problem');
  assert.equal(counted(0, 'problem'), '0 problems');
});
