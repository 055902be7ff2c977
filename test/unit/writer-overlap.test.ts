/** What counts as two servers that write at the same time: the measure that the real-server tests are judged by. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Acknowledged, overlapOf } from '../../src/testbed/writer.js';

const row = (id: number, server: string, sentAt: number, at: number): Acknowledged => ({
  id,
  server,
  serverStart: 'once',
  sentAt,
  at,
});
const before = row(1, 'n1', 0, 10);
const next = row(2, 'n2', 90, 100);

test('one server after the other is no overlap', () => {
  assert.equal(overlapOf([before, next]), 0);
  assert.equal(overlapOf([before, next], new Set()), 0);
});

test('a deposed server that takes a new write is one, whoever has the row', () => {
  const rows = [before, next, row(3, 'n1', 120, 130)];
  assert.equal(overlapOf(rows), 30);
  assert.equal(overlapOf(rows, new Set()), 20);
  assert.equal(overlapOf(rows, new Set([3])), 30);
});

test('an old write that is acknowledged late is one only if the next master lacks it', () => {
  const rows = [before, next, row(3, 'n1', 20, 150)];
  assert.equal(overlapOf(rows), 50, 'nothing is known of the rows');
  assert.equal(overlapOf(rows, new Set([3])), 50);
  assert.equal(overlapOf(rows, new Set()), 0);
});

test('a late acknowledgement does not hide a later write', () => {
  const rows = [before, next, row(4, 'n1', 140, 145), row(3, 'n1', 20, 150)];
  assert.equal(overlapOf(rows, new Set()), 40);
});

test('so too where it is all that the deposed server tells of', () => {
  const rows = [next, row(3, 'n1', 20, 150), row(4, 'n2', 190, 200)];
  assert.equal(overlapOf(rows, new Set()), 0);
  assert.equal(overlapOf(rows, new Set([3])), 50);
});
