/** Durations as people write them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatDuration, parseDuration } from '../../src/core/duration.js';

function ms(text: string): number | string {
  const parsed = parseDuration(text);
  return parsed.kind === 'duration' ? parsed.ms : parsed.message;
}

test('every unit of PostgreSQL is read', () => {
  assert.equal(ms('250us'), 0.25);
  assert.equal(ms('500ms'), 500);
  assert.equal(ms('5s'), 5000);
  assert.equal(ms('1min'), 60_000);
  assert.equal(ms('1h'), 3_600_000);
  assert.equal(ms('1d'), 86_400_000);
});

test('a bare number is seconds, as it was in the first pg_keeper', () => {
  assert.equal(ms('5'), 5000);
  assert.equal(ms('0'), 0);
  assert.equal(ms('0.5'), 500);
});

test('blanks around and before the unit do not matter, fractions are allowed', () => {
  assert.equal(ms('  1.5 s '), 1500);
  assert.equal(ms('.5min'), 30_000);
});

test('what is no duration is refused with its text and what would do', () => {
  assert.match(String(ms('soon')), /"soon" is not a duration.*500ms/);
  assert.match(String(ms('')), /not a duration/);
  assert.match(String(ms('5 parsecs')), /unknown unit "parsecs".*us, ms, s, min, h and d/);
  assert.match(String(ms('5S')), /unknown unit "S"/, 'PostgreSQL compares units exactly');
  assert.match(String(ms('5m')), /unknown unit "m"/);
  assert.match(String(ms('-5s')), /negative/);
  assert.match(String(ms('1e3s')), /not a duration|unknown unit/);
  assert.match(String(ms('100d')), /too long/);
  assert.match(String(ms('5constructor')), /unknown unit/, "an object's own words are no units");
});

test('what is written is read back the same', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2_147_483_647 }), (value) => {
      assert.equal(ms(formatDuration(value)), value);
    }),
  );
});

test('durations are written in the largest unit that is exact', () => {
  assert.equal(formatDuration(5000), '5s');
  assert.equal(formatDuration(1500), '1500ms');
  assert.equal(formatDuration(120_000), '2min');
  assert.equal(formatDuration(0), '0');
});
