/**
 * A fresh copy of a server in place of the own data. The copy is made beside the data directory and takes its place
 * only when it is whole; where that is impossible (a mount point, no right on the parent, tablespaces) it is made in
 * a folder inside, after everything but the configuration was removed.
 */
import {
  accessSync,
  constants,
  existsSync,
  lstatSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { openClient, targetOf } from '../../postgres/connect.js';
import { replaceFile } from '../configuration-change.js';
import { type FillOptions, fillCopy } from './fill-copy.js';
import { type KeptFiles, makeFolder, restoreConfiguration, saveConfiguration } from './kept-files.js';
import {
  clearUnfinished,
  copyFolderOf,
  endOrphans,
  finishSwap,
  markUnfinished,
  oldFolderOf,
} from './unfinished-data.js';

export interface CopyRequest extends FillOptions {
  /** Replaced by the copy. May be missing or empty. */
  readonly dataDirectory: string;
  /** The configuration of what is replaced stays. */
  readonly keepConfiguration?: boolean;
  /** Further changes to a copy that is whole, before it takes its place. */
  readonly finish?: (folder: string) => void;
  /** What is replaced is left beside the new data, if it can be. */
  readonly keepOld?: boolean;
}

export interface CopyOutcome {
  readonly how: string;
  /** Where the old data are; null = gone, or there were none. */
  readonly old: string | null;
}

const connectBoundMs = 10_000;
const insideCopy = 'pgkeeper-copy';
/** Until a copy inside is whole; the links tell a run that begins again where tablespaces are to be emptied. */
const spared: readonly string[] = ['PG_VERSION', 'pg_tblspc', 'pgkeeper.unfinished'];

/** The server must be stopped. On failure the old data directory is as it was, unless the copy had to be made inside. */
export async function copyFrom(request: CopyRequest): Promise<CopyOutcome> {
  const { dataDirectory } = request;
  const places = await askSource(request);
  for (const folder of [copyFolderOf(dataDirectory), join(dataDirectory, insideCopy)]) endOrphans(folder);
  finishSwap(dataDirectory);
  const kept =
    request.keepConfiguration !== false && existsSync(dataDirectory)
      ? saveConfiguration(dataDirectory)
      : new Map<string, Buffer>();
  if (canReplace(dataDirectory)) return copyBeside(request, kept);
  const tablespaces = [...(request.tablespaces ?? []), ...ownPlaces(request, places)];
  return copyInside({ ...request, tablespaces }, kept);
}

async function copyBeside(request: CopyRequest, kept: KeptFiles): Promise<CopyOutcome> {
  const { dataDirectory } = request;
  const spaces = emptySpaces(request);
  const [beside, old] = [copyFolderOf(dataDirectory), oldFolderOf(dataDirectory)];
  rmSync(beside, { recursive: true, force: true });
  makeFolder(beside);
  try {
    const how = await fillCopy(request, beside);
    finish(request, beside, kept);
    const isReplaced = existsSync(dataDirectory) && readdirSync(dataDirectory).length > 0;
    rmSync(old, { recursive: true, force: true });
    if (existsSync(dataDirectory)) renameSync(dataDirectory, old);
    renameSync(beside, dataDirectory);
    clearUnfinished(dataDirectory);
    if (request.keepOld === true && isReplaced) return { how, old: putAway(dataDirectory, old) };
    rmSync(old, { recursive: true, force: true });
    return { how, old: null };
  } catch (error) {
    rmSync(beside, { recursive: true, force: true });
    for (const space of spaces) emptyFolder(space, new Set());
    throw error;
  }
}

/** Under a name that no later copy uses. */
function putAway(dataDirectory: string, old: string): string {
  const kept = `${dataDirectory}.old-${new Date().toISOString().replaceAll(/[:.]/g, '-')}`;
  renameSync(old, kept);
  return kept;
}

/** A run that breaks off leaves the mark, and the configuration by which a worker starts and copies again. */
async function copyInside(request: CopyRequest, kept: KeptFiles): Promise<CopyOutcome> {
  const { dataDirectory, source } = request;
  const inside = join(dataDirectory, insideCopy);
  const { host, port } = targetOf(source);
  markUnfinished(dataDirectory, {
    what: 'copy',
    source: `${host}:${port}`,
    since: new Date().toISOString(),
  });
  emptyTablespaces(dataDirectory);
  emptyFolder(dataDirectory, new Set([...kept.keys(), ...spared]));
  makeFolder(inside);
  const how = await fillCopy(request, inside);
  finish(request, inside, kept);
  const names = readdirSync(inside);
  // One after the other: the configuration is there at every moment.
  for (const name of names) {
    rmSync(join(dataDirectory, name), { recursive: true, force: true });
    renameSync(join(inside, name), join(dataDirectory, name));
  }
  emptyFolder(dataDirectory, new Set([...names, 'pgkeeper.unfinished']));
  clearUnfinished(dataDirectory);
  return { how, old: null };
}

/** Nothing is taken away for a source that does not even answer, or has no right to be copied. Resolves with where its tablespaces are, by oid. */
async function askSource({ source }: CopyRequest): Promise<ReadonlyMap<string, string>> {
  const client = await openClient(source, {
    applicationName: 'pgkeeper copy',
    connectTimeoutMs: connectBoundMs,
  });
  try {
    const { rows } = await client.query<{ may: boolean }>(
      'select rolreplication or rolsuper as may from pg_roles where rolname = current_user',
    );
    if (rows[0]?.may !== true) throw new Error('the role may not copy the master: it needs REPLICATION');
    const spaces = await client.query<{ oid: string; place: string }>(
      'select oid::text, pg_tablespace_location(oid) as place from pg_tablespace',
    );
    return new Map(spaces.rows.map(({ oid, place }) => [oid, place]));
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** From here on the copy can only start as a standby. */
function finish(request: CopyRequest, folder: string, kept: KeptFiles): void {
  restoreConfiguration(folder, kept);
  replaceFile(join(folder, 'standby.signal'), '');
  const own = ['recovery.signal', 'postmaster.pid', 'backup_manifest', 'pgkeeper.unfinished'];
  for (const name of own) rmSync(join(folder, name), { force: true });
  request.finish?.(folder);
}

function tablespacesOf(dataDirectory: string): readonly string[] {
  const links = join(dataDirectory, 'pg_tblspc');
  return existsSync(links) ? readdirSync(links).map((link) => join(links, link)) : [];
}

/** A mount point cannot be renamed, the parent may belong to somebody else, tablespaces are in the way of new ones. */
export function canReplace(dataDirectory: string): boolean {
  const parent = dirname(dataDirectory);
  try {
    accessSync(parent, constants.W_OK);
    if (tablespacesOf(dataDirectory).length > 0) return false;
    return !existsSync(dataDirectory) || statSync(dataDirectory).dev === statSync(parent).dev;
  } catch {
    return false;
  }
}

/** A tablespace stays where this server has it, which need not be where the source has it: OLD=NEW. */
function ownPlaces(request: CopyRequest, places: ReadonlyMap<string, string>): readonly string[] {
  const given = request.tablespaces ?? [];
  const escaped = (path: string) => path.replaceAll('=', '\\=');
  return tablespacesOf(request.dataDirectory).flatMap((link) => {
    const there = places.get(basename(link)) ?? '';
    const here = lstatSync(link).isSymbolicLink() ? readlinkSync(link) : '';
    const isMapped = given.some((mapping) => mapping.startsWith(`${escaped(there)}=/`));
    if (!there.startsWith('/') || !here.startsWith('/') || here === there || isMapped) return [];
    return [`${escaped(there)}=${escaped(here)}`];
  });
}

/** Places of tablespaces that have nothing in them but what this copy puts there. */
function emptySpaces({ tablespaces }: CopyRequest): readonly string[] {
  return (tablespaces ?? [])
    .map((mapping) => mapping.slice(mapping.indexOf('=/') + 1))
    .filter((space) => !existsSync(space) || readdirSync(space).length === 0);
}

/** Tablespace folders keep their place, without this server's part. */
function emptyTablespaces(dataDirectory: string): void {
  for (const folder of tablespacesOf(dataDirectory))
    for (const part of readdirSync(folder)) rmSync(join(folder, part), { recursive: true, force: true });
}

/** `spared`: paths relative to the folder. */
function emptyFolder(folder: string, spared: ReadonlySet<string>): void {
  for (const entry of existsSync(folder) ? readdirSync(folder) : []) {
    // Made by the file system itself, not by the server.
    if (entry === 'lost+found' || spared.has(entry)) continue;
    if ([...spared].some((path) => path.startsWith(`${entry}/`))) continue;
    rmSync(join(folder, entry), { recursive: true, force: true });
  }
}
