/**
 * A server's own configuration inside its data directory: kept when its data are replaced by another server's
 * (pg_rewind and a base copy bring the other's port, name and addresses along).
 */
import { chownSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { replaceFile } from '../configuration-change.js';

export type KeptFiles = ReadonlyMap<string, Buffer>;

/**
 * postmaster.opts too: it tells how and from where this server is started. And the word by which worker and guard know each
 * other: with another one the next worker would not find the guard that is armed. And where the cluster's nodes are (known-nodes.ts).
 */
const kinds = /\.(conf|crt|key|pem|crl)$|^postmaster\.opts$|^pgkeeper\.(guard|nodes|unfinished)$/;
/** PostgreSQL's own folders hold no configuration. */
const dataFolders = /^(base|global|pg_.*|log)$/;
const deepest = 2;

/** Relative path -> content. */
export function saveConfiguration(dataDirectory: string): KeptFiles {
  const kept = new Map<string, Buffer>();
  const walk = (folder: string, depth: number) => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) {
        if (depth < deepest && !dataFolders.test(entry.name)) walk(path, depth + 1);
      } else if (entry.isFile() && kinds.test(entry.name))
        kept.set(relative(dataDirectory, path), readFileSync(path));
    }
  };
  walk(dataDirectory, 0);
  return kept;
}

export function restoreConfiguration(dataDirectory: string, kept: KeptFiles): void {
  for (const [name, content] of kept) {
    const path = join(dataDirectory, name);
    makeFolder(dirname(path));
    replaceFile(path, content);
  }
}

/** A folder that belongs to the owner of its parent. */
export function makeFolder(path: string): void {
  try {
    statSync(path);
    return;
  } catch {
    makeFolder(dirname(path));
  }
  mkdirSync(path, { mode: 0o700 });
  const parent = statSync(dirname(path));
  if (process.getuid?.() === 0) chownSync(path, parent.uid, parent.gid);
}

function asideOf(dataDirectory: string): string {
  return `${dataDirectory}.pgkeeper-kept`;
}

/**
 * The same on disk, beside the data directory, for the case that this program does not live to put them back. Where the
 * parent belongs to somebody else there is no place for it.
 */
export function keepAside(dataDirectory: string, kept: KeptFiles): void {
  try {
    const aside = asideOf(dataDirectory);
    makeFolder(aside);
    for (const [name, content] of kept) {
      makeFolder(dirname(join(aside, name)));
      replaceFile(join(aside, name), content);
    }
    replaceFile(join(aside, 'complete'), '');
  } catch {
    forgetAside(dataDirectory);
  }
}

export function forgetAside(dataDirectory: string): void {
  rmSync(asideOf(dataDirectory), { recursive: true, force: true });
}

/** Puts back what an earlier run left aside. Half a set counts for nothing: the files were still in place then. */
export function restoreFromAside(dataDirectory: string): void {
  const aside = asideOf(dataDirectory);
  if (!existsSync(aside)) return;
  if (existsSync(join(aside, 'complete'))) restoreConfiguration(dataDirectory, saveConfiguration(aside));
  forgetAside(dataDirectory);
}
