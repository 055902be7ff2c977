/** Where the WAL of a standby ends: with a whole record, or within one (the layout of WAL is PostgreSQL's). */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Lsn } from '../../src/core/lsn.js';
import { WalTail } from '../../src/process/wal-tail.js';

const fileBytes = 1024 * 1024;
const folder = mkdtempSync(join(tmpdir(), 'pgkeeper-tail-'));
mkdirSync(join(folder, 'pg_wal'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** A WAL file in which records of these lengths begin at these places, and so much of one goes on at the beginning of these pages. */
function writeFile(
  name: string,
  lengths: Readonly<Record<number, number>>,
  goesOn: Readonly<Record<number, number>> = {},
): void {
  const bytes = Buffer.alloc(fileBytes);
  for (const [place, length] of Object.entries(lengths)) bytes.writeUInt32LE(length, Number(place));
  for (const [place, left] of Object.entries(goesOn)) {
    bytes.writeUInt16LE(0x0001, Number(place) + 2);
    bytes.writeUInt32LE(left, Number(place) + 16);
  }
  writeFileSync(join(folder, 'pg_wal', name), bytes);
}

/** Within the file that begins at 1 MB. */
function ends(replayed: number, received: number, timeline = 1): boolean {
  const at = (place: number) => BigInt(fileBytes + place) as Lsn;
  return new WalTail(folder).endsWithinRecord({ timeline, replayed: at(replayed), received: at(received) });
}

const page = 8192;
writeFile(
  '000000010000000000000001',
  {
    [page + 1000]: 100,
    // Over the end of a page: 48 bytes there, 152 behind the header of the next one.
    [2 * page - 48]: 200,
    // The first of a page.
    [3 * page + 24]: 64,
    [4 * page + 1000]: 0,
    // Over two ends.
    [6 * page - 8]: 8 + (page - 24) + 8,
    // Over many, and given up after the first, or the second.
    [8 * page - 8]: 20 * page,
    [10 * page - 8]: 20 * page,
    [14 * page - 8]: 20 * page,
  },
  {
    [2 * page]: 152,
    [6 * page]: page - 24 + 8,
    [7 * page]: 8,
    [10 * page]: 20 * page - 8,
    [11 * page]: 20 * page - 8 - (page - 24),
    [14 * page]: 20 * page - 8,
    // What goes on here is another one.
    [15 * page]: 300,
  },
);

test('a record is left to replay when all of it was received', () => {
  assert.equal(ends(page + 1000, page + 1100), false);
  assert.equal(ends(page + 1000, page + 1104), false);
  assert.equal(ends(page + 1000, page + 1099), true);
  assert.equal(ends(page + 1000, page + 1002), true, 'not even its length is there');
});

test('a record goes on behind the header of the next page', () => {
  assert.equal(ends(2 * page - 48, 2 * page), true, 'cut at the end of a page, as masters send it');
  assert.equal(ends(2 * page - 48, 2 * page + 24 + 151), true);
  assert.equal(ends(2 * page - 48, 2 * page + 24 + 152), false);
  assert.equal(ends(6 * page - 8, 7 * page + 24 + 7), true);
  assert.equal(ends(6 * page - 8, 7 * page + 24 + 8), false);
});

test('a record that its server gave up in a crash, and wrote others over, is not all that is left', () => {
  assert.equal(ends(8 * page - 8, 8 * page + 23), true, 'no header has come yet');
  assert.equal(ends(8 * page - 8, 8 * page + 24), false);
  assert.equal(ends(10 * page - 8, 11 * page + 500), true);
  assert.equal(ends(10 * page - 8, 12 * page + 500), false);
  assert.equal(ends(14 * page - 8, 14 * page + 500), true);
  assert.equal(ends(14 * page - 8, 15 * page + 500), false);
});

test('a header is no record: at the beginning of a page, and of a file that is not there yet', () => {
  assert.equal(ends(3 * page, 3 * page + 24), true);
  assert.equal(ends(3 * page, 3 * page + 24 + 64), false);
  assert.equal(ends(fileBytes, fileBytes + 40), true);
});

test('what cannot be read is not taken for the end', () => {
  assert.equal(ends(4 * page + 1000, 5 * page), false, 'zeroes where a record should be');
  assert.equal(ends(fileBytes, fileBytes + 500), false, 'no file');
  assert.equal(
    new WalTail('/nowhere').endsWithinRecord({ timeline: 1, replayed: 0n as Lsn, received: 8n as Lsn }),
    false,
  );
});

test('the newest timeline that has the place counts', () => {
  writeFile('000000020000000000000001', { [page + 1000]: 5000 });
  assert.equal(ends(page + 1000, page + 1100, 1), false);
  assert.equal(ends(page + 1000, page + 1100, 2), true);
  assert.equal(ends(page + 1000, page + 1100, 3), true);
});
