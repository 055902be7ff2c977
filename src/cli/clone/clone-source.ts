/** `pgkeeper clone`: the server to copy. Everything that would break the copy or the standby is found before the first byte. */
import type pg from 'pg';
import { withKeywords } from '../../core/conninfo.js';
import { openClient, queryWithDeadline, targetOf } from '../../postgres/connect.js';
import { classifyFailure } from '../../postgres/failure.js';
import type { CommandFailure } from '../exit-codes.js';
import { failureText } from '../failure-text.js';
import type { Refusals } from '../refusals.js';
import { connectTimeoutMs, type Session } from '../session.js';
import { refused } from './clone-target.js';

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
  readonly slot_in_use: boolean;
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
  exists (select from pg_replication_slots where slot_name = $2 and active) as slot_in_use,
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

export function slotInUse(slot: string): CommandFailure {
  return refused(`the slot "${slot}" is in use there`, ['Give another one with --slot.']);
}

/** Of no use where something was found against it. */
export async function cloneSource(
  { client, conninfo }: Session,
  name: string | null,
  slot: string | null,
  found: Refusals,
): Promise<CloneSource> {
  const { rows } = await queryWithDeadline(client, factsSql, [name, slot], boundMs);
  const facts = rows[0] as Facts;
  const mayCopy = refuseRights(facts, found);
  if (name !== null && facts.own_name === name)
    found.add(refused(`the source itself is "${name}"`, ['Give this node another name with --name.']));
  if (facts.namesake)
    found.add(
      refused(`another standby streams as "${name}" already`, [
        'Give this node another name with --name, or stop that one.',
      ]),
    );
  if (slot !== null && facts.slot_in_use) found.add(slotInUse(slot));
  const systemIdentifier = mayCopy ? await found.gather(() => identify(conninfo, facts.user)) : null;
  return {
    conninfo,
    major: Math.floor(facts.version / 10_000),
    systemIdentifier: systemIdentifier ?? '',
    inRecovery: facts.standby,
    configInside: facts.config_inside,
    bytes: await sizeOf(client),
  };
}

/** May that server be copied by this role, as far as settings and rights tell? */
function refuseRights(facts: Facts, found: Refusals): boolean {
  const before = found.count;
  if (!facts.may)
    found.add(
      refused(`the role "${facts.user}" may not copy that server: it needs REPLICATION`, [
        `On the master: ALTER ROLE "${facts.user}" REPLICATION;`,
      ]),
    );
  if (facts.wal_level === 'minimal')
    found.add(
      refused('wal_level is minimal there', ['Set wal_level = replica on the master and restart it.']),
    );
  if (facts.senders - facts.used < sendersOfCopy)
    found.add(
      refused(
        `max_wal_senders is ${facts.senders} there and ${facts.used} are taken: a copy needs ${sendersOfCopy}`,
        ['Raise max_wal_senders there and restart it.'],
      ),
    );
  return found.count === before;
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
