/** The vote of a server on the session that may hold it: taken, renewed, given back, and is it still the same backend? */
import type { Answer } from '../core/events.js';
import { recentlyUsedMs } from '../core/types.js';
import { CommandError, type SessionContext } from './session-context.js';
import { witnessSessionPrefix } from './witness.js';

/** A transaction pooler in between would show another backend: such a session cannot hold a vote. */
export function checkPid(session: SessionContext, pid: number): void {
  session.backendPid ??= pid;
  if (session.backendPid !== pid)
    throw new CommandError('speaks', 'the backend changed under the session; connect without a pooler');
}

export async function renew(session: SessionContext): Promise<Answer> {
  const { rows } = await session.client.query<{ pid: number }>('select pg_backend_pid() as pid');
  checkPid(session, rows[0]?.pid ?? -1);
  return { kind: 'renewed' };
}

/**
 * The key is the cluster's system identifier, which is the server's own on a node and another one on a witness; the lock's
 * holders are counted over all databases. Workers of other clusters on a witness do not count.
 */
export async function tryVote(session: SessionContext, knownMs: number): Promise<Answer> {
  const { client, witness } = session;
  const key = witness?.systemIdentifier ?? null;
  const prefix = witness === null ? 'pgk \\S+ ' : witnessSessionPrefix(witness);
  const ttlMs = Math.round(session.leaseTtlMs());
  await client.query(`select set_config('idle_session_timeout', $1, false)`, [String(ttlMs)]);
  const { rows } = await client.query<{ got: boolean }>(
    'select pg_try_advisory_lock(coalesce($1::bigint, (pg_control_system()).system_identifier)) as got',
    [key],
  );
  const { rows: facts } = await client.query<{ holders: number; age: string; workers: string[] | null }>(
    `select (select count(*)::int from pg_locks l, pg_control_system() c
        where l.locktype = 'advisory' and l.granted and l.objsubid = 1
          and (l.classid::bigint << 32) | l.objid::bigint = coalesce($1::bigint, c.system_identifier)) as holders,
      extract(epoch from clock_timestamp() - (select backend_start from pg_stat_activity where backend_type = 'checkpointer')) * 1000 as age,
      (select array_agg(w.name) from pg_stat_activity a, substring(a.application_name from $2) as w(name)
        where w.name is not null and a.usename = current_user and octet_length(a.application_name) < 63
          and a.state_change between clock_timestamp() - $3 * interval '1 ms' and clock_timestamp()
          and a.backend_start <= clock_timestamp() - $4 * interval '1 ms') as workers`,
    [key, `^${prefix}(.*)$`, Math.round(recentlyUsedMs(ttlMs)), Math.round(knownMs)],
  );
  const granted = rows[0]?.got === true && facts[0]?.holders === 1;
  if (!granted) await giveBack(session);
  return {
    kind: 'vote',
    ttlMs,
    granted,
    birthAgeMs: Number(facts[0]?.age ?? 0),
    workers: facts[0]?.workers ?? [],
  };
}

async function giveBack(session: SessionContext): Promise<void> {
  await session.client.query(
    `select pg_advisory_unlock_all(), set_config('idle_session_timeout', '0', false)`,
  );
  const { rows } = await session.client.query<{ left: number }>(
    `select count(*)::int as left from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()`,
  );
  if (rows[0]?.left !== 0) throw new CommandError('closed', 'advisory locks are left after giving back');
}

export async function release(session: SessionContext): Promise<Answer> {
  await giveBack(session);
  return { kind: 'released' };
}
