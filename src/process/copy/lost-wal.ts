/**
 * What only this server had: before its data are rewound or copied, the WAL from the point where its history and the master's
 * parted is kept aside, with a note of what it is. Best effort and bounded in size: the node comes back in any case.
 */
import { constants, copyFileSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { messageOf } from '../../core/error-text.js';
import type { LostWal } from '../../core/events.js';
import { formatLsn, type Lsn } from '../../core/lsn.js';
import { replaceFile } from '../configuration-change.js';
import { readControlFile } from '../control-file.js';
import { makeFolder } from './kept-files.js';
import { type History, ownHistory, partingOf, sourceHistory } from './timelines.js';
import { historyFiles, lastPage, type Segment, walContents, writtenSegments } from './wal-files.js';

export interface LostWalRequest {
  readonly dataDirectory: string;
  readonly binDirectory: string;
  readonly source: string;
  /** All that is kept there, older rejoins included; 0 = keep nothing. */
  readonly limitBytes: number;
  /** Both have the last timeline, and only its number is the same. */
  readonly sameNumberTwice: boolean;
}

const noteName = 'lost-wal.json';

/** Null where nothing is lost. The server must be stopped, its crash recovery done. */
export async function setLostWalAside(request: LostWalRequest): Promise<LostWal | null> {
  const { dataDirectory, binDirectory } = request;
  const segments = writtenSegments(dataDirectory);
  const timeline = Math.max(readControlFile(dataDirectory).timeline, ...segments.map((one) => one.timeline));
  const own = ownHistory(dataDirectory, timeline);
  const source = await sourceHistory(request.source);
  if (source.systemIdentifier !== readControlFile(dataDirectory).systemIdentifier) return null;
  const begin = lossBegin(own, source, request.sameNumberTwice);
  if (begin === null) return null;
  let to: Lsn = begin.from;
  let commits: number | null = 0;
  let found = false;
  for (const each of timelinesSince(own, begin.timeline)) {
    // biome-ignore lint/complexity/useMathMinMax: positions are bigint
    const from = each.begin > begin.from ? each.begin : begin.from;
    const contents = await walContents(binDirectory, dataDirectory, each.timeline, from);
    if (contents === 'nothing') continue;
    const end = contents?.to ?? endOf(segments, each.timeline);
    if (end === null || end <= from) continue;
    found = true;
    if (end > to) to = end;
    commits = contents === null || commits === null ? null : commits + contents.commits;
  }
  if (!found) return null;
  const lost = { from: formatLsn(begin.from), to: formatLsn(to), commits };
  const concerned = segments.filter(
    ({ timeline: on, start, bytes }) =>
      on >= begin.timeline && on <= timeline && start <= to && start + BigInt(bytes) > begin.from,
  );
  return { ...lost, ...keep(request, concerned, { ...lost, timeline, timelineOfMaster: source.timeline }) };
}

interface Begin {
  readonly timeline: number;
  readonly from: Lsn;
}

function lossBegin(own: History, source: History, sameNumberTwice: boolean): Begin | null {
  const parting = partingOf(own, source);
  if (parting === null) return null;
  if (parting.end !== null) return { timeline: parting.timeline, from: parting.end };
  if (!sameNumberTwice) return null;
  return { timeline: own.timeline, from: own.past.at(-1)?.end ?? (0n as Lsn) };
}

function timelinesSince(own: History, first: number): readonly { timeline: number; begin: Lsn }[] {
  const all = [...own.past.map(({ timeline }) => timeline), own.timeline];
  return all
    .map((timeline, i) => ({ timeline, begin: own.past[i - 1]?.end ?? (0n as Lsn) }))
    .filter(({ timeline }) => timeline >= first);
}

/** To the page: without pg_waldump nobody reads records. */
function endOf(segments: readonly Segment[], timeline: number): Lsn | null {
  const last = segments.filter((segment) => segment.timeline === timeline).at(-1);
  return last === undefined ? null : lastPage(last);
}

type Kept = Pick<LostWal, 'folder' | 'why'>;

function keep(
  { dataDirectory, limitBytes }: LostWalRequest,
  segments: readonly Segment[],
  facts: Readonly<Record<string, string | number | null>>,
): Kept {
  if (limitBytes === 0) return { folder: null, why: 'lost_wal_limit is 0' };
  const all = join(dirname(dataDirectory), 'pgkeeper_lost_wal');
  try {
    const known = foldersIn(all).find((folder) => isSame(folder, dataDirectory, facts));
    if (known !== undefined) return { folder: known, why: 'kept at an earlier try' };
    const total = segments.reduce((sum, { bytes }) => sum + bytes, 0);
    makeRoom(all, limitBytes - Math.min(total, limitBytes));
    const folder = join(all, new Date().toISOString().replaceAll(':', '-'));
    makeFolder(folder);
    let bytes = 0;
    let left = 0;
    for (const { path, name, bytes: size } of segments) {
      if (bytes + size > limitBytes) left += 1;
      else {
        copyInto(folder, path, name);
        bytes += size;
      }
    }
    const timelines = new Set(segments.map(({ timeline }) => timeline));
    for (const path of historyFiles(dataDirectory, timelines)) copyInto(folder, path, basename(path));
    const note = { dataDirectory, ...facts, segments: segments.length - left, segmentsOverTheLimit: left };
    replaceFile(join(folder, noteName), `${JSON.stringify(note, null, 2)}\n`);
    return {
      folder,
      why: left === 0 ? '' : `${left} of ${segments.length} segments were over lost_wal_limit`,
    };
  } catch (error) {
    return { folder: null, why: messageOf(error) };
  }
}

function copyInto(folder: string, path: string, name: string): void {
  const to = join(folder, name);
  // The owner and the mode of the folder's other files.
  replaceFile(to, '');
  copyFileSync(path, to, constants.COPYFILE_FICLONE);
}

/** Oldest first. */
function foldersIn(all: string): readonly string[] {
  makeFolder(all);
  return readdirSync(all)
    .sort()
    .map((name) => join(all, name));
}

/** A rejoin that is tried again finds what the first try kept. */
function isSame(
  folder: string,
  dataDirectory: string,
  facts: Readonly<Record<string, string | number | null>>,
): boolean {
  try {
    const note = JSON.parse(readFileSync(join(folder, noteName), 'utf8')) as Readonly<
      Record<string, unknown>
    >;
    return (
      note['dataDirectory'] === dataDirectory &&
      Object.entries(facts).every(([key, value]) => note[key] === value)
    );
  } catch {
    return false;
  }
}

function makeRoom(all: string, mayStayBytes: number): void {
  const sizes = foldersIn(all).map((folder) => ({ folder, bytes: sizeOf(folder) }));
  let sum = sizes.reduce((total, { bytes }) => total + bytes, 0);
  for (const { folder, bytes } of sizes) {
    if (sum <= mayStayBytes) return;
    rmSync(folder, { recursive: true, force: true });
    sum -= bytes;
  }
}

function sizeOf(folder: string): number {
  return readdirSync(folder)
    .filter((name) => name !== noteName)
    .reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
}
