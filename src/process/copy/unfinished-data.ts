/**
 * Data that are being rewound or copied: the mark that says so until the work is whole, for the case that this program or
 * the host does not live to see that. Data with this mark must not be started. The mark lies beside the data directory, since
 * pg_rewind removes whatever it does not know from inside; where the parent belongs to somebody else it lies inside.
 */
import { existsSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { replaceFile } from '../configuration-change.js';

export interface Unfinished {
  readonly what: 'rewind' | 'copy';
  /** Host and port, for messages. */
  readonly source: string;
  /** ISO 8601. */
  readonly since: string;
}

/** A copy on its way, and the data that it replaces, until it is whole. */
export function copyFolderOf(dataDirectory: string): string {
  return `${dataDirectory}.pgkeeper-copy`;
}

export function oldFolderOf(dataDirectory: string): string {
  return `${dataDirectory}.pgkeeper-old`;
}

function placesOf(dataDirectory: string): readonly [string, string] {
  return [`${dataDirectory}.pgkeeper-unfinished`, join(dataDirectory, 'pgkeeper.unfinished')];
}

/** Durable when it returns. */
export function markUnfinished(dataDirectory: string, mark: Unfinished): void {
  const [beside, inside] = placesOf(dataDirectory);
  const text = `${JSON.stringify(mark)}\n`;
  try {
    replaceFile(beside, text);
  } catch {
    replaceFile(inside, text);
  }
}

export function clearUnfinished(dataDirectory: string): void {
  for (const place of placesOf(dataDirectory)) rmSync(place, { force: true });
}

/** Null where the data are whole. A mark that cannot be read is one all the same. */
export function readUnfinished(dataDirectory: string): Unfinished | null {
  const place = placesOf(dataDirectory).find((path) => existsSync(path));
  if (place === undefined) return null;
  try {
    return JSON.parse(readFileSync(place, 'utf8')) as Unfinished;
  } catch {
    return { what: 'copy', source: 'unknown', since: 'unknown' };
  }
}

/** Between its two renames a copy was about to take the place of the data: it is whole then, and takes it. */
export function finishSwap(dataDirectory: string): boolean {
  if (existsSync(dataDirectory)) return false;
  const [copy, old] = [copyFolderOf(dataDirectory), oldFolderOf(dataDirectory)];
  if (!existsSync(old)) return false;
  renameSync(existsSync(join(copy, 'standby.signal')) ? copy : old, dataDirectory);
  return true;
}

/**
 * Programs of a run that was killed go on by themselves, and would write into what is made anew. Ends those that were
 * given the folder as theirs; true if there were any.
 */
export function endOrphans(folder: string): boolean {
  if (process.platform !== 'linux') return false;
  let found = false;
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const words = readFileSync(`/proc/${entry}/cmdline`, 'utf8').split('\0');
      const at = words.indexOf('-D');
      if (!/\/pg_(basebackup|rewind)$/.test(words[0] ?? '') || at < 0 || words[at + 1] !== folder) continue;
      process.kill(Number(entry), 'SIGKILL');
      found = true;
    } catch {
      // Gone meanwhile.
    }
  }
  return found;
}
