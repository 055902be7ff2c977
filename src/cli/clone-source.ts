/** `pgkeeper clone`: the server to copy. Everything that would break the copy or the standby is found before the first byte. */
import type pg from 'pg';
import { withKeywords } from '../core/conninfo.js';
import { openClient, queryWithDeadline, targetOf } from '../postgres/connect.js';
import { classifyFailure } from '../postgres/failure.js';
import { refused } from './clone-target.js';
import { failureText } from './failure-text.js';
import { connectTimeoutMs } from './session.js';

export interface CloneSource {
  readonly conninfo: string;
  readonly major: number;
  readonly systemIdentifier: string;
  readonly inRecovery: boolean;
  /** Outside its data directory, or not to be seen: null. */
  readonly configInside: boolean | null;
  readonly bytes: number | null;
}

interface Facts {
  readonly version: number;
  readonly standby: boolean;
  readonly wal_level: string;
  readonly senders: number;
  readonly used: number;
  readonly may: boolean;
  readonly user: string;
  readonly namesake: boolean;
  readonly own_name: string | null;
  readonly config_inside: boolean | null;
}

const factsSql = `
select current_setting('server_version_num')::int as version,
  pg_is_in_recovery() as standby,
  current_setting('wal_level') as wal_level,
  current_setting('max_wal_senders')::int as senders,
  (select count(*)::int from pg_stat_activity where backend_type = 'walsender') as used,
  (select rolreplication or rolsuper from pg_roles where rolname = current_user) as may,
  current_user as user,
  exists (select from pg_stat_replication where application_name = $1) as namesake,
  nullif(current_setting('pg_keeper.node_name', true), '') as own_name,
  (select c.setting like d.setting || '/%' from pg_settings c, pg_settings d
    where c.name = 'config_file' and d.name = 'data_directory') as config_inside`;

const boundMs = 10_000;
/** pg_basebackup takes one connection for the files and one for the WAL. */
const sendersOfCopy = 2;

/** The databases' names may differ from the user's: without one the copy needs none, and the questions take postgres. */
export function withDatabase(conninfo: string): string {
  return conninfo.includes('dbname') || process.env['PGDATABASE'] || conninfo.includes('://')
    ? conninfo
    : withKeywords(conninfo, { dbname: 'postgres' });
}

export async function cloneSource(client: pg.Client, conninfo: string, name: string): Promise<CloneSource> {
  const { rows } = await queryWithDeadline(client, factsSql, [name], boundMs);
  const facts = rows[0] as Facts;
  const major = Math.floor(facts.version / 10_000);
  if (!facts.may)
    throw refused(`the role "${facts.user}" may not copy that server: it needs REPLICATION`, [
      `On the master: ALTER ROLE "${facts.user}" REPLICATION;`,
    ]);
  if (facts.wal_level === 'minimal')
    throw refused('wal_level is minimal there', ['Set wal_level = replica on the master and restart it.']);
  if (facts.senders - facts.used < sendersOfCopy)
    throw refused(
      `max_wal_senders is ${facts.senders} there and ${facts.used} are taken: a copy needs ${sendersOfCopy}`,
      ['Raise max_wal_senders there and restart it.'],
    );
  if (facts.own_name === name)
    throw refused(`the source itself is "${name}"`, ['Give this node another name with --name.']);
  if (facts.namesake)
    throw refused(`another standby streams as "${name}" already`, [
      'Give this node another name with --name, or stop that one.',
    ]);
  return {
    conninfo,
    major,
    systemIdentifier: await identify(conninfo, facts.user),
    inRecovery: facts.standby,
    configInside: facts.config_inside,
    bytes: await sizeOf(client),
  };
}

/** Over the connection that the copy will use: pg_hba.conf has rules of its own for it. */
async function identify(conninfo: string, user: string): Promise<string> {
  try {
    const client = await openClient(conninfo, {
      applicationName: 'pgkeeper clone',
      connectTimeoutMs: connectTimeoutMs(conninfo),
      replication: true,
    });
    try {
      const { rows } = await queryWithDeadline(client, 'IDENTIFY_SYSTEM', [], boundMs);
      return (rows[0] as { readonly systemid: string }).systemid;
    } finally {
      client.end().catch(() => undefined);
    }
  } catch (error) {
    const { host, port } = targetOf(conninfo);
    throw refused(`${host}:${port} lets "${user}" not copy it: ${failureText(classifyFailure(error))}`, [
      `pg_hba.conf there needs a line like: host replication ${user} THIS_HOST/32 scram-sha-256`,
    ]);
  }
}

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
