/**
 * Two servers must not go by one name: a copied host brings the name of its model along, and each of the two would count a vote of its
 * own as that of the one node. Looked at where a worker starts: the registry says where the node of that name is.
 */
import type pg from 'pg';
import { openClient, queryWithDeadline } from '../postgres/connect.js';
import { wholeConninfo } from '../postgres/node-address.js';
import type { LoadedSettings } from '../settings/load.js';
import type { Settings } from '../settings/settings.js';
import { CommandFailure, exitCodes } from './exit-codes.js';
import { describeTarget } from './session.js';

const boundMs = 2000;

/** Which server it is: no other has started at that microsecond on that port. $1 = the name. */
const identitySql = `select extract(epoch from pg_postmaster_start_time())::text || ' ' || current_setting('port') as server,
  coalesce(current_setting('pg_keeper.node_name', true) = $1, false) or exists (select from pg_stat_activity a
    where a.application_name like 'pgk %'
      and left('pgk ' || split_part(a.application_name, ' ', 2) || ' ' || $1, 63) = a.application_name) as goes_by_it`;

interface Identity {
  readonly server: string;
  readonly goes_by_it: boolean;
}

/** Null = it does not answer, or does not tell. */
async function asked<T>(conninfo: string, look: (client: pg.Client) => Promise<T>): Promise<T | null> {
  try {
    const client = await openClient(conninfo, {
      applicationName: 'pgkeeper settings',
      connectTimeoutMs: boundMs,
    });
    try {
      return await look(client);
    } finally {
      client.end().catch(() => undefined);
    }
  } catch {
    return null;
  }
}

async function identityOf(client: pg.Client, name: string): Promise<Identity | null> {
  const { rows } = await queryWithDeadline(client, identitySql, [name], boundMs);
  return (rows[0] as Identity | undefined) ?? null;
}

/** Throws when the node of this name is another server, which answers and goes by it. One that is away is no hindrance: this may be its successor. */
export async function refuseNamesake(loaded: LoadedSettings, { nodeName }: Settings): Promise<void> {
  if (loaded.server.kind !== 'asked') return;
  const own = await asked(loaded.ownConninfo, async (client) => {
    const sql = 'select conninfo from pgkeeper.node_info where name = $1';
    const { rows } = await queryWithDeadline(client, sql, [nodeName], boundMs);
    const row = rows[0] as { readonly conninfo: string } | undefined;
    return row === undefined
      ? null
      : { conninfo: row.conninfo, identity: await identityOf(client, nodeName) };
  });
  if (own === null || own.identity === null) return;
  const conninfo = wholeConninfo(own.conninfo);
  const there = await asked(conninfo, (client) => identityOf(client, nodeName));
  if (there === null || there.server === own.identity.server || !there.goes_by_it) return;
  throw new CommandFailure(
    exitCodes.refused,
    `${nodeName} is another server: the registry has it at ${describeTarget(conninfo)}, and that answers by this name`,
    [
      `Is this one a copy of it? Give it a pg_keeper.node_name of its own, and the same as application_name in primary_conninfo.`,
      `Has ${nodeName} moved here? Stop the other server first, then, on the master: UPDATE pgkeeper.node_info SET conninfo = '...' WHERE name = '${nodeName.replaceAll("'", "''")}';`,
    ],
  );
}
