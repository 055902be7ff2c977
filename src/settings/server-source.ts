/**
 * The settings in a running server's configuration files, as the server itself reads them, and what else only it knows.
 * Read only; one short session.
 */
import type pg from 'pg';
import { openClient, queryWithDeadline } from '../postgres/connect.js';
import type { FileEntry } from '../process/configuration-file.js';
import { definitions } from './settings.js';
import type { SettingEntry } from './sources.js';

export interface ServerSettings {
  readonly lines: readonly FileEntry[];
  /** Seen in the session only: given on the server's command line or to the role, or the files may not be read. */
  readonly session: readonly SettingEntry[];
  /** null = this role may not see it. */
  readonly dataDirectory: string | null;
}

const insufficientPrivilege = '42501';

export async function readServerSettings(conninfo: string, deadlineMs: number): Promise<ServerSettings> {
  const client = await openClient(conninfo, {
    applicationName: 'pgkeeper settings',
    connectTimeoutMs: deadlineMs,
  });
  try {
    return await settingsOf(client, deadlineMs);
  } finally {
    client.end().catch(() => undefined);
  }
}

export async function settingsOf(client: pg.Client, deadlineMs: number): Promise<ServerSettings> {
  const lines = await linesOf(client, deadlineMs);
  const names = definitions.flatMap(({ name, aliases }) => [name, ...(aliases ?? [])]);
  const { rows } = await queryWithDeadline(
    client,
    `select n.name, current_setting('pg_keeper.' || n.name, true) as text,
       case when pg_has_role('pg_read_all_settings', 'usage') then current_setting('data_directory', true) end as data_directory
     from unnest($1::text[]) as n(name)`,
    [names],
    deadlineMs,
  );
  const inFiles = new Set(lines.map((line) => line.name));
  const session = (rows as readonly { name: string; text: string | null }[]).flatMap(({ name, text }) => {
    const definition = definitions.find((one) => one.name === name || one.aliases?.includes(name));
    if (text === null || text === '' || definition === undefined || inFiles.has(`pg_keeper.${name}`))
      return [];
    return [{ name: definition.name, text, source: { kind: 'session' as const } }];
  });
  const dataDirectory = (rows[0] as { data_directory?: string | null } | undefined)?.data_directory ?? null;
  return { lines, session, dataDirectory };
}

/** pg_file_settings, because such names are not in pg_settings. A role without the right to it sees the session's values. */
async function linesOf(client: pg.Client, deadlineMs: number): Promise<readonly FileEntry[]> {
  try {
    const { rows } = await queryWithDeadline(
      client,
      `select lower(name) as name, coalesce(setting, '') as value, sourcefile as path, sourceline as line
       from pg_file_settings where name ilike 'pg\\_keeper.%' order by seqno`,
      [],
      deadlineMs,
    );
    return rows as readonly FileEntry[];
  } catch (error) {
    if ((error as { readonly code?: unknown }).code === insufficientPrivilege) return [];
    throw error;
  }
}
