/**
 * A base copy with nothing but SQL: pg_backup_start, every file read through pg_read_binary_file, pg_backup_stop, and
 * the WAL written meanwhile. For installations without pg_basebackup. Tablespaces are refused.
 */
import { chownSync, closeSync, fsyncSync, ftruncateSync, openSync, statSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type pg from 'pg';
import { discardClient, openClient } from '../../postgres/connect.js';
import { replaceFile } from '../configuration-change.js';
import type { FillOptions } from './fill-copy.js';
import { makeFolder } from './kept-files.js';

const chunkBytes = 8 * 1024 * 1024;
const connectBoundMs = 10_000;

/** Left out by pg_basebackup too: made anew at start, or meaningful on the source alone. */
const skippedContents: ReadonlySet<string> = new Set([
  'pg_wal',
  'pg_replslot',
  'pg_dynshmem',
  'pg_notify',
  'pg_serial',
  'pg_snapshots',
  'pg_stat_tmp',
  'pg_subtrans',
]);
const skippedFiles =
  /^(postmaster\.(pid|opts)|pg_internal\.init.*|pgsql_tmp.*|standby\.signal|recovery\.signal|backup_label|tablespace_map|current_logfiles(\.tmp)?|pgkeeper-start\.log|pgkeeper\.(guard|unfinished|boot)|.*\.pgkeeper)$/;

export async function copyThroughFunctions(
  source: string,
  folder: string,
  options: Pick<FillOptions, 'signal' | 'onProgress' | 'checkpoint'>,
): Promise<void> {
  const client = await openClient(source, {
    applicationName: 'pgkeeper copy',
    connectTimeoutMs: connectBoundMs,
  });
  const abort = () => discardClient(client);
  options.signal?.addEventListener('abort', abort);
  try {
    await refuseTablespaces(client);
    const names = await functionNames(client, options.checkpoint !== 'spread');
    // A temporary slot keeps the WAL of the copy until this session ends.
    await client.query(
      `select pg_create_physical_replication_slot('pgkeeper_copy_' || pg_backend_pid(), true, true)`,
    );
    const { rows: begun } = await client.query<{ lsn: string }>(`select ${names.start}::text as lsn`);
    const size = await sizeOf(client);
    let doneBytes = 0;
    const copier: Copier = {
      client,
      took: (bytes) => {
        doneBytes += bytes;
        options.onProgress?.({ doneBytes, totalBytes: size === null ? null : Math.max(size, doneBytes) });
      },
    };
    await copyFolder(copier, '.', folder);
    await copyFile(copier, 'global/pg_control', join(folder, 'global', 'pg_control'));
    const { rows: ended } = await client.query<{ lsn: string; labelfile: string }>(
      `select lsn::text, labelfile from ${names.stop}`,
    );
    replaceFile(join(folder, 'backup_label'), ended[0]?.labelfile ?? '');
    await copyWal(copier, begun[0]?.lsn ?? '0/0', folder);
  } finally {
    options.signal?.removeEventListener('abort', abort);
    if (options.signal?.aborted !== true) await client.end().catch(() => undefined);
  }
}

async function refuseTablespaces(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ spaces: string }>(
    `select string_agg(spcname, ', ') as spaces from pg_tablespace where spcname not in ('pg_default', 'pg_global')`,
  );
  if (rows[0]?.spaces)
    throw new Error(
      `the master has tablespaces (${rows[0].spaces}): install pg_basebackup on this host, or make the copy by hand`,
    );
}

/** Renamed in version 15. */
async function functionNames(
  client: pg.Client,
  fast: boolean,
): Promise<{ readonly start: string; readonly stop: string }> {
  const { rows } = await client.query<{ version: number }>(
    `select current_setting('server_version_num')::int as version`,
  );
  return (rows[0]?.version ?? 0) >= 150_000
    ? { start: `pg_backup_start('pgkeeper', ${fast})`, stop: 'pg_backup_stop(false)' }
    : { start: `pg_start_backup('pgkeeper', ${fast}, false)`, stop: 'pg_stop_backup(false, false)' };
}

interface Copier {
  readonly client: pg.Client;
  /** Told of every part that was copied. */
  readonly took: (bytes: number) => void;
}

/** Of all databases; null where the role may not see it. */
async function sizeOf(client: pg.Client): Promise<number | null> {
  try {
    const { rows } = await client.query<{ bytes: string }>(
      'select sum(pg_database_size(oid))::text as bytes from pg_database',
    );
    return Number(rows[0]?.bytes);
  } catch {
    return null;
  }
}

interface Entry {
  readonly name: string;
  readonly isdir: boolean;
}

async function copyFolder(copier: Copier, from: string, to: string): Promise<void> {
  makeFolder(to);
  const { rows } = await copier.client.query<Entry>(
    `select name, (pg_stat_file($1 || '/' || name, true)).isdir from pg_ls_dir($1, true, false) as name`,
    [from],
  );
  for (const { name, isdir } of rows) {
    const path = from === '.' ? name : `${from}/${name}`;
    if (isdir === null || skippedFiles.test(name) || path === 'global/pg_control') continue;
    if (!isdir) await copyFile(copier, path, join(to, name));
    else if (from === '.' && skippedContents.has(name)) makeFolder(join(to, name));
    else await copyFolder(copier, path, join(to, name));
  }
  if (from === '.') makeFolder(join(to, 'pg_wal', 'archive_status'));
}

/** A file that goes away meanwhile was dropped; the WAL of the copy knows. */
async function copyFile({ client, took }: Copier, from: string, to: string): Promise<void> {
  const file = openSync(to, 'w', 0o600);
  try {
    const owner = statSync(dirname(to));
    if (process.getuid?.() === 0) chownSync(to, owner.uid, owner.gid);
    let offset = 0;
    for (;;) {
      // As text: the driver reads every value as a string, a binary one too.
      const { rows } = await client.query<{ part: string | null }>(
        `select encode(pg_read_binary_file($1, $2, $3, true), 'base64') as part`,
        [from, offset, chunkBytes],
      );
      const part = Buffer.from(rows[0]?.part ?? '', 'base64');
      if (part.length === 0) break;
      writeSync(file, part);
      offset += part.length;
      took(part.length);
      if (part.length < chunkBytes) break;
    }
    ftruncateSync(file, offset);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Every segment from the start of the backup to the one being written now, of the present timeline. */
async function copyWal(copier: Copier, start: string, folder: string): Promise<void> {
  const { rows } = await copier.client.query<{ name: string }>(
    `select name from pg_ls_waldir() where (name ~ '^[0-9A-F]{24}$' and name between pg_walfile_name($1::pg_lsn) and pg_walfile_name(pg_current_wal_lsn()))
       or name ~ '^[0-9A-F]{8}\\.history$' order by name`,
    [start],
  );
  for (const { name } of rows) await copyFile(copier, `pg_wal/${name}`, join(folder, 'pg_wal', name));
}
