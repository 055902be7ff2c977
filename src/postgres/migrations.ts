/**
 * Installs and removes the registry without files on the server, with node-pg-migrate. The migrations themselves are generated
 * (scripts/make-migrations.mjs). The other way, CREATE EXTENSION, is not done here; the two exclude each other.
 */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { type InstalledSchema, installedSchema } from './schema-version.js';

export type MigrationOutcome =
  | { readonly kind: 'done'; readonly migrations: readonly string[] }
  | { readonly kind: 'nothing-to-do' }
  | { readonly kind: 'refused'; readonly reason: string; readonly mend: string };

export interface MigrationOptions {
  /** How to connect to the master, as pg takes it; every timeout in it is the caller's choice. */
  readonly connection: pg.ClientConfig;
  /** How long to wait for another run that is going on. Default 30000. */
  readonly lockTimeoutMs?: number;
  /** How long one statement may take. Default 60000. */
  readonly statementTimeoutMs?: number;
  /** Where the migrations are. Default: those of this package. */
  readonly folder?: string;
  /** One line per step; default: nobody listens. */
  readonly log?: (line: string) => void;
}

/**
 * The book-keeping of node-pg-migrate has a schema of its own: it must outlive the objects while they are removed, and
 * pgkeeper's schema must hold the same objects whichever way it came.
 */
const bookSchema = 'pgkeeper_migrations';
const bookTable = 'migrations';

/** One run at a time in a database. Ours alone: node-pg-migrate's own key is the same for every program that uses it. */
const runKey = 7_054_131_970_431;

export function migrateUp(options: MigrationOptions): Promise<MigrationOutcome> {
  return onMaster(options, async (client, installed) => {
    if (installed.kind === 'extension') {
      return refused(
        'the objects belong to the extension pg_keeper',
        'to upgrade them: ALTER EXTENSION pg_keeper UPDATE;',
      );
    }
    if (installed.kind === 'foreign')
      return refused(installed.detail, 'rename or drop that schema, or use another database');
    if (installed.kind === 'migration' && !(await hasBook(client))) {
      return refused(
        `the objects are there, but the record of their migrations (schema ${bookSchema}) is not`,
        'restore that schema from the same backup as the objects',
      );
    }
    return runFiles(client, 'up', options);
  });
}

export function migrateDown(options: MigrationOptions): Promise<MigrationOutcome> {
  return onMaster(options, async (client, installed) => {
    if (installed.kind === 'extension') {
      return refused(
        'the objects belong to the extension pg_keeper',
        'to remove them: DROP EXTENSION pg_keeper;',
      );
    }
    if (installed.kind === 'foreign')
      return refused(installed.detail, 'remove that schema by hand if it is not needed');
    if (!(await hasBook(client))) {
      if (installed.kind === 'missing') return { kind: 'nothing-to-do' };
      return refused(
        `the objects are there, but the record of their migrations (schema ${bookSchema}) is not`,
        'to remove them all the same: DROP SCHEMA pgkeeper CASCADE;',
      );
    }
    const outcome = await runFiles(client, 'down', options);
    await client.query(
      `drop table if exists ${bookSchema}.${bookTable}; drop schema if exists ${bookSchema}`,
    );
    return outcome;
  });
}

function refused(reason: string, mend: string): MigrationOutcome {
  return { kind: 'refused', reason, mend };
}

/** Connects, makes sure of the role of the server and of being alone, and always hangs up. */
async function onMaster(
  options: MigrationOptions,
  run: (client: pg.Client, installed: InstalledSchema) => Promise<MigrationOutcome>,
): Promise<MigrationOutcome> {
  const client = new pg.Client({ application_name: 'pgkeeper migrate', ...options.connection });
  // A connection that breaks between statements is reported by the next statement.
  client.on('error', () => undefined);
  await client.connect();
  try {
    // Our own rights and names only: no search_path of the role, no wait without an end, no wait for standbys that are away.
    await client.query(`set search_path = public; set synchronous_commit = local;
      set statement_timeout = ${milliseconds(options.statementTimeoutMs ?? 60_000)}`);
    const { rows } = await client.query<{ standby: boolean }>('select pg_is_in_recovery() as standby');
    if (rows[0]?.standby !== false) {
      return refused(
        'this server is a standby',
        'run it on the master; the objects reach the standbys by replication',
      );
    }
    if (!(await takeTurn(client, options.lockTimeoutMs ?? 30_000))) {
      return refused('another migration is running on this database', 'wait for it to end, then try again');
    }
    const installed = await installedSchema(
      async (sql) => (await client.query<Record<string, unknown>>(sql)).rows,
    );
    return await run(client, installed);
  } finally {
    await client.end().catch(() => undefined);
  }
}

function milliseconds(value: number): number {
  return Math.max(1, Math.ceil(value));
}

/** A session lock: it goes with the connection, however the run ends. */
async function takeTurn(client: pg.Client, timeoutMs: number): Promise<boolean> {
  try {
    await client.query(`set lock_timeout = ${milliseconds(timeoutMs)}`);
    await client.query('select pg_advisory_lock($1)', [runKey]);
    return true;
  } catch (error) {
    if ((error as { readonly code?: unknown }).code === '55P03') return false;
    throw error;
  }
}

async function hasBook(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ known: boolean }>('select to_regclass($1) is not null as known', [
    `${bookSchema}.${bookTable}`,
  ]);
  return rows[0]?.known === true;
}

async function runFiles(
  client: pg.Client,
  direction: 'up' | 'down',
  options: MigrationOptions,
): Promise<MigrationOutcome> {
  const log = options.log ?? (() => undefined);
  // Loaded here, because every other command would pay for it at its start.
  const { runner } = await import('node-pg-migrate');
  const run = await runner({
    dbClient: client,
    dir: options.folder ?? migrationsFolder(),
    direction,
    count: Number.POSITIVE_INFINITY,
    migrationsSchema: bookSchema,
    migrationsTable: bookTable,
    createMigrationsSchema: true,
    singleTransaction: true,
    noLock: true, // ours is held, and theirs is the same for all programs
    logger: { info: log, warn: log, error: log },
  });
  return run.length === 0
    ? { kind: 'nothing-to-do' }
    : { kind: 'done', migrations: run.map(({ name }) => name) };
}

/**
 * `migrations/` of the package this file belongs to: two levels up from src, three from build/src, one from a bundle in dist.
 * The folder counts only beside the package.json, so that nobody else's migrations are run.
 */
export function migrationsFolder(start: string = dirname(fileURLToPath(import.meta.url))): string {
  let folder = start;
  for (let level = 0; level < 5; level += 1) {
    const candidate = join(folder, 'migrations');
    if (existsSync(candidate) && existsSync(join(folder, 'package.json'))) return candidate;
    folder = dirname(folder);
  }
  throw new Error(
    `the folder "migrations" of the pgkeeper package was not found above ${start}; reinstall the package`,
  );
}
