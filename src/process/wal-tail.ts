/**
 * What lies between what a standby has replayed and what it has received, read in its own WAL files: records, or the
 * beginning of one record whose rest never came. A master sends whole pages while it writes much, so a standby of a dead
 * master ends within a record as a rule, and waits for ever to replay it. Where a page of WAL begins with its header, and
 * a record with its length, is the same in 14 to 18.
 */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Lsn } from '../core/lsn.js';
import { bytesAt } from './bytes-at.js';
import { hex8 } from './copy/timelines.js';

const pageBytes = 8192n;
/** At the beginning of each page, and of each file. */
const shortHeaderBytes = 24n;
const longHeaderBytes = 40n;
/** The header of a record, and XLogRecordMaxSize. */
const leastRecordBytes = 24;
const longestRecordBytes = 1020 * 1024 * 1024;

export interface Tail {
  readonly timeline: number;
  /** End of the last record replayed. */
  readonly replayed: Lsn;
  /** As far as WAL is on the disk. */
  readonly received: Lsn;
}

export class WalTail {
  readonly #dataDirectory: string;
  /** The same for as long as there is the cluster, copies included; an election asks every few ms. */
  #fileBytes: bigint | null = null;

  constructor(dataDirectory: string) {
    this.#dataDirectory = dataDirectory;
  }

  /** True when not one whole record is left to replay. False also where the files do not tell. */
  endsWithinRecord({ timeline, replayed, received }: Tail): boolean {
    try {
      this.#fileBytes ??= segmentBytes(this.#dataDirectory);
      const fileBytes = this.#fileBytes;
      if (fileBytes === null) return false;
      const begin = replayed + headerBytes(replayed, fileBytes);
      if (begin + 4n > received) return true;
      const read = (at: bigint, length: number) =>
        walAt(this.#dataDirectory, timeline, at, length, fileBytes);
      const length = read(begin, 4)?.readUInt32LE(0) ?? 0;
      if (length < leastRecordBytes || length > longestRecordBytes) return false;
      const { end, page, left } = extentOf(begin, BigInt(length), received, fileBytes);
      return end > received && (page === null || goesOn(read(page, Number(shortHeaderBytes)), left));
    } catch {
      // Removed or replaced while it was looked at.
      return false;
    }
  }
}

function segmentBytes(dataDirectory: string): bigint | null {
  const folder = join(dataDirectory, 'pg_wal');
  const name = readdirSync(folder).find((candidate) => /^[0-9A-F]{24}$/.test(candidate));
  return name === undefined ? null : BigInt(statSync(join(folder, name)).size);
}

function headerBytes(at: bigint, fileBytes: bigint): bigint {
  if (at % pageBytes !== 0n) return 0n;
  return at % fileBytes === 0n ? longHeaderBytes : shortHeaderBytes;
}

interface Extent {
  readonly end: bigint;
  /** The last page on which it goes on and whose header has come, null = none, and how many bytes of the record are left there. */
  readonly page: bigint | null;
  readonly left: bigint;
}

/** A record goes on behind the header of the next page. */
function extentOf(begin: bigint, length: bigint, received: bigint, fileBytes: bigint): Extent {
  let at = begin;
  let left = length;
  let last: Pick<Extent, 'page' | 'left'> = { page: null, left };
  for (;;) {
    const room = pageBytes - (at % pageBytes);
    if (left <= room) return { end: at + left, ...last };
    left -= room;
    at += room;
    if (at + shortHeaderBytes <= received) last = { page: at, left };
    at += headerBytes(at, fileBytes);
  }
}

/** In the header of a page: the record of the page before goes on here, so many bytes of it. */
const flagsAt = 2;
const goesOnFlag = 1;
const leftAt = 16;

/**
 * A server that crashed within a record and recovered writes other ones over the rest, from the next page on: then there is more to
 * replay than the beginning of that one.
 */
function goesOn(header: Buffer | null, left: bigint): boolean {
  if (header === null) return false;
  return (header.readUInt16LE(flagsAt) & goesOnFlag) !== 0 && BigInt(header.readUInt32LE(leftAt)) === left;
}

/** In the file of the newest timeline that has that place; its older part is a copy of the timeline before. Null = no such file. */
function walAt(
  dataDirectory: string,
  timeline: number,
  at: bigint,
  length: number,
  fileBytes: bigint,
): Buffer | null {
  const perId = 0x1_0000_0000n / fileBytes;
  const number = at / fileBytes;
  const place = hex8(Number(number / perId)) + hex8(Number(number % perId));
  for (let each = timeline; each > 0; each -= 1) {
    const path = join(dataDirectory, 'pg_wal', hex8(each) + place);
    if (existsSync(path)) return bytesAt(path, Number(at % fileBytes), length);
  }
  return null;
}
