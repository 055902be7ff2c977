/**
 * Changes to a server's files while nobody runs to ask: settings in postgresql.auto.conf, as ALTER SYSTEM would make them,
 * and whole files. Every file is replaced durably and belongs to whom its folder belongs.
 */
import {
  chownSync,
  closeSync,
  existsSync,
  fchownSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { parseLine } from './configuration-file.js';

/** Sets or removes (null) settings in an existing file of postgresql.auto.conf's kind; the old file stays until the new one is on disk. */
export function changeConfiguration(path: string, changes: Readonly<Record<string, string | null>>): void {
  const before = existsSync(path) ? readFileSync(path, 'utf8') : '';
  const kept = before.split('\n').filter((raw) => {
    const found = parseLine(raw);
    return raw !== '' && !(found && found.name in changes);
  });
  const added = Object.entries(changes).flatMap(([name, value]) =>
    value === null ? [] : [`${name} = ${quote(value)}`],
  );
  replaceFile(path, `${[...kept, ...added].join('\n')}\n`);
}

function quote(value: string): string {
  return `'${value.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
}

/** Makes an empty file where there is none, owned like its folder. Not durable, and so without waiting for the disk. */
export function createFile(path: string): void {
  const owner = statSync(dirname(path));
  const file = openSync(path, 'a', 0o600);
  try {
    if (process.getuid?.() === 0) fchownSync(file, owner.uid, owner.gid);
  } finally {
    closeSync(file);
  }
}

/** Writes a file of the data directory whole and durable, owned like the directory. */
export function replaceFile(path: string, content: string | Uint8Array): void {
  const folder = dirname(path);
  const owner = statSync(folder);
  // Worker and guard may write the same file at the same time.
  const temporary = `${path}.${process.pid}.pgkeeper`;
  const file = openSync(temporary, 'w', 0o600);
  try {
    if (process.getuid?.() === 0) chownSync(temporary, owner.uid, owner.gid);
    if (typeof content === 'string') writeSync(file, content);
    else writeSync(file, content);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
  const directory = openSync(folder, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
