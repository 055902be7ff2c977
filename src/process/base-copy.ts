/**
 * A fresh copy of the master in place of the own data. The copy is made beside the old data directory and takes its
 * place only when it is whole; where that is impossible (a mount point, no right on the parent) it is made in place.
 * pg_basebackup where there is one of the right version, else PostgreSQL's backup functions (backup-functions.ts).
 */
import { accessSync, constants, existsSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { openClient } from '../postgres/connect.js';
import { copyThroughFunctions } from './backup-functions.js';
import { replaceFile } from './configuration-change.js';
import { makeFolder, restoreConfiguration, saveConfiguration } from './kept-files.js';
import { describeFailure, runProgram } from './run-command.js';
import { secretEnvironment, withoutSecrets } from './secrets.js';

export interface CopyRequest {
  readonly source: string;
  /** Replaced by the copy. May be missing or empty. */
  readonly dataDirectory: string;
  readonly binDirectory: string;
}

const connectBoundMs = 10_000;
const copyBoundMs = 6 * 3_600_000;

/** Resolves with how it was done; the server must be stopped. On failure the old data directory is as it was, unless the copy had to be made in place. */
export async function copyFrom(request: CopyRequest): Promise<string> {
  const { dataDirectory } = request;
  const kept = existsSync(dataDirectory) ? saveConfiguration(dataDirectory) : new Map<string, Buffer>();
  const beside = `${dataDirectory}.pgkeeper-copy`;
  await askSource(request);
  if (hasTablespaces(dataDirectory) || !canReplace(dataDirectory)) {
    emptyFolder(dataDirectory);
    const how = await fill(request, dataDirectory);
    finish(dataDirectory, kept);
    return how;
  }
  rmSync(beside, { recursive: true, force: true });
  makeFolder(beside);
  try {
    const how = await fill(request, beside);
    finish(beside, kept);
    const old = `${dataDirectory}.pgkeeper-old`;
    rmSync(old, { recursive: true, force: true });
    if (existsSync(dataDirectory)) renameSync(dataDirectory, old);
    renameSync(beside, dataDirectory);
    rmSync(old, { recursive: true, force: true });
    return how;
  } catch (error) {
    rmSync(beside, { recursive: true, force: true });
    throw error;
  }
}

/** Nothing is taken away for a source that does not even answer, or has no right to be copied. */
async function askSource({ source }: CopyRequest): Promise<void> {
  const client = await openClient(source, {
    applicationName: 'pgkeeper copy',
    connectTimeoutMs: connectBoundMs,
  });
  try {
    const { rows } = await client.query<{ may: boolean }>(
      'select rolreplication or rolsuper as may from pg_roles where rolname = current_user',
    );
    if (rows[0]?.may !== true) throw new Error('the role may not copy the master: it needs REPLICATION');
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** From here on the copy can only start as a standby that follows nobody. */
function finish(folder: string, kept: ReadonlyMap<string, Buffer>): void {
  restoreConfiguration(folder, kept);
  replaceFile(join(folder, 'standby.signal'), '');
  for (const name of ['recovery.signal', 'postmaster.pid', 'backup_manifest'])
    rmSync(join(folder, name), { force: true });
}

async function fill(request: CopyRequest, folder: string): Promise<string> {
  const program = join(request.binDirectory, 'pg_basebackup');
  if (!existsSync(program)) {
    await copyThroughFunctions(request.source, folder);
    return 'backup functions';
  }
  const args = [
    '-D',
    folder,
    '-X',
    'stream',
    '-c',
    'fast',
    '--no-password',
    '-d',
    withoutSecrets(request.source),
  ];
  const options = {
    deadlineMs: copyBoundMs,
    asOwnerOf: folder,
    environment: secretEnvironment(request.source),
  };
  const result = await runProgram(program, args, options);
  if (!result.ok) throw new Error(describeFailure('pg_basebackup', result, copyBoundMs));
  return 'pg_basebackup';
}

function hasTablespaces(dataDirectory: string): boolean {
  const links = join(dataDirectory, 'pg_tblspc');
  return existsSync(links) && readdirSync(links).length > 0;
}

/** A mount point cannot be renamed, and the parent may belong to somebody else. */
function canReplace(dataDirectory: string): boolean {
  const parent = dirname(dataDirectory);
  try {
    accessSync(parent, constants.W_OK);
    return !existsSync(dataDirectory) || statSync(dataDirectory).dev === statSync(parent).dev;
  } catch {
    return false;
  }
}

/** Content only; tablespace folders keep their place, without this server's part. */
function emptyFolder(folder: string): void {
  const links = join(folder, 'pg_tblspc');
  for (const link of existsSync(links) ? readdirSync(links) : []) {
    for (const part of readdirSync(join(links, link)))
      rmSync(join(links, link, part), { recursive: true, force: true });
  }
  for (const entry of existsSync(folder) ? readdirSync(folder) : [])
    rmSync(join(folder, entry), { recursive: true, force: true });
}
