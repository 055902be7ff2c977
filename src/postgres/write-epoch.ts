/**
 * First act of an epoch, on the server that has just become master: who is master, R and k, and after a promotion the id of
 * the new timeline. What a witness alone knew of the registry is taken over first.
 */
import { sql, type Transaction } from 'kysely';
import type { Command } from '../core/effects.js';
import type { Answer } from '../core/events.js';
import { compareRegistry, type Registry, type Voter } from '../core/types.js';
import { registryOf } from './observation.js';
import { nextVersion, readRow, syncColumns, written } from './registry.js';
import { CommandError, type SessionContext } from './session-context.js';
import type { Database } from './tables.js';

export function writeEpoch(
  session: SessionContext,
  { epoch, sync, promoted, basis }: Extract<Command, { kind: 'write-epoch' }>,
): Promise<Answer> {
  return written(session, async (trx) => {
    const master = session.ownName;
    await takeOver(trx, basis);
    await trx
      .updateTable('node_info')
      .set({ is_master: false })
      .where('is_master', '=', true)
      .where('name', '<>', master)
      .execute();
    await trx
      .updateTable('node_info')
      .set({ is_master: true, is_nextmaster: false, is_sync: false })
      .where('name', '=', master)
      .where('is_master', '=', false)
      .execute();
    await trx
      .updateTable('cluster_state')
      .set({
        epoch: String(epoch),
        version: nextVersion,
        ...(await promotionColumns(trx, promoted ? epoch : null)),
        master,
        ...syncColumns(sync),
        changed_at: sql`clock_timestamp()`,
      })
      .execute();
  });
}

/** Only timelines a node may still come back with are kept. */
const keptPromotions = 50;

/**
 * A fresh id for the timeline this server writes, at the end of the list. Also for a master that asks to stay on a timeline
 * of which no row tells yet: its promotion was cut off before the row.
 */
async function promotionColumns(trx: Transaction<Database>, promotedIn: number | null) {
  const { rows } = await sql<{ id: string; timeline: number }>`select gen_random_uuid()::text as id,
    ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int as timeline`.execute(trx);
  const fresh = rows[0];
  if (fresh === undefined) throw new CommandError('speaks', 'the timeline is not known');
  const { promotions } = await readRow(trx);
  if (promotedIn === null && promotions.at(-1)?.timeline === fresh.timeline) return {};
  const promotion = promotedIn === null ? fresh : { ...fresh, epoch: promotedIn };
  const list = [...promotions, promotion].slice(-keptPromotions);
  return { promotion_id: fresh.id, promotions: sql<string>`${JSON.stringify(list)}::jsonb` };
}

/**
 * Where the newest row was established on witnesses, this server's own WAL may end before it: its nodes, witnesses and
 * voters come from that row. The trigger copies them into cluster_state.
 */
async function takeOver(trx: Transaction<Database>, basis: Registry): Promise<void> {
  const ours = registryOf(await readRow(trx));
  if (ours === null || compareRegistry(basis, ours) <= 0) return;
  const nodes = basis.nodes.filter(({ kind }) => kind === 'node');
  const witnesses = basis.nodes.filter(({ kind }) => kind === 'witness');
  await trx.deleteFrom('node_info').where('name', 'not in', namesOf(nodes)).execute();
  for (const { seqno, name, conninfo } of nodes) {
    await trx.deleteFrom('node_info').where('seqno', '=', seqno).where('name', '<>', name).execute();
    await trx
      .insertInto('node_info')
      .values({ seqno, name, conninfo })
      .onConflict((conflict) => conflict.column('name').doUpdateSet({ seqno, conninfo }))
      .execute();
  }
  await takeOverPlan(trx, nodes);
  await trx.deleteFrom('witness_info').where('name', 'not in', namesOf(witnesses)).execute();
  for (const { seqno, name, conninfo, database, identity } of witnesses) {
    if (identity === undefined) continue;
    const columns = {
      seqno,
      conninfo,
      database,
      token: identity.token,
      system_identifier: identity.systemIdentifier,
      timeline: identity.timeline,
      address: identity.address,
    };
    await trx
      .insertInto('witness_info')
      .values({ name, ...columns })
      .onConflict((conflict) => conflict.column('name').doUpdateSet(columns))
      .execute();
  }
  await sql`select setval('pgkeeper.node_info_seqno_seq', greatest(max(v.seqno), (select last_value from pgkeeper.node_info_seqno_seq)))
    from (select seqno from pgkeeper.node_info union all select seqno from pgkeeper.witness_info) v`.execute(
    trx,
  );
  await trx
    .updateTable('cluster_state')
    .set({
      version: sql`greatest(version, ${basis.version})`,
      voters: sql`${JSON.stringify(basis.voters)}::jsonb`,
    })
    .execute();
}

/** What was planned, too. (An open request is not: nobody waits for one that this server never had.) */
async function takeOverPlan(trx: Transaction<Database>, nodes: readonly Voter[]): Promise<void> {
  await trx.deleteFrom('node_plan').execute();
  for (const { name, maintenance = false, priority = null } of nodes)
    await trx.insertInto('node_plan').values({ name, maintenance, priority }).execute();
  const pause = nodes.find((node) => node.pause !== undefined)?.pause ?? 'off';
  await trx.updateTable('cluster_plan').set({ pause }).where('pause', '<>', pause).execute();
}

/** Never empty: "not in ()" is no SQL. */
function namesOf(voters: readonly Voter[]): readonly string[] {
  return ['', ...voters.map(({ name }) => name)];
}
