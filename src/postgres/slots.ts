/**
 * The keeper's replication slots on the own server: looked at, and put right by what core/slot-plan.ts says. Part of the upkeep, so
 * nothing here may hold anything else up: short statements with a deadline, and a failure is only told.
 */
import type pg from 'pg';
import { messageOf } from '../core/error-text.js';
import { formatLsn, parseLsn } from '../core/lsn.js';
import { slotPrefix } from '../core/slots/slot-names.js';
import {
  type OwnSlotLook,
  planSlots,
  type SlotAction,
  type SlotLook,
  type SlotNode,
  takesPart,
} from '../core/slots/slot-plan.js';
import { queryWithDeadline } from './connect.js';
import type { KeptSession } from './kept-session.js';
import { wholeConninfo } from './node-address.js';
import { lostSlot } from './observation.js';

export interface SlotReport {
  readonly done: readonly SlotAction[];
  /** In words. */
  readonly failures: readonly string[];
}

const lookSql = `
select pg_is_in_recovery() as in_recovery, c.redo_lsn::text as redo,
  to_regclass('pgkeeper.node_info') is not null as installed,
  current_setting('primary_slot_name') as streams_by, current_setting('primary_conninfo') as follows,
  exists (select from pg_stat_wal_receiver
    where status = 'streaming' and coalesce(slot_name, '') = current_setting('primary_slot_name')) as receives,
  (select json_agg(json_build_object('name', slot_name, 'active', active, 'lost', ${lostSlot},
      'holdsRows', xmin is not null, 'restart', restart_lsn::text))
    from pg_replication_slots
    where slot_type = 'physical' and not temporary and starts_with(slot_name::text, '${slotPrefix}')) as slots,
  (select json_agg(json_build_object('name', application_name, 'flush', flush_lsn::text))
    from pg_stat_replication where state = 'streaming' and flush_lsn is not null) as streams
from pg_control_checkpoint() c`;

interface LookRow {
  readonly in_recovery: boolean;
  readonly redo: string;
  readonly installed: boolean;
  readonly streams_by: string;
  readonly follows: string;
  readonly receives: boolean;
  readonly slots:
    | readonly { name: string; active: boolean; lost: boolean; holdsRows: boolean; restart: string | null }[]
    | null;
  readonly streams: readonly { name: string; flush: string }[] | null;
}

interface NodeRow {
  readonly name: string;
  readonly conninfo: string;
  readonly is_master: boolean;
}

/**
 * `client`: the upkeep's session on the own server, `toMaster`: a standby's, on the master. Throws when the own server cannot be
 * looked at; then nothing was changed.
 */
export async function tendSlots(
  client: pg.Client,
  toMaster: KeptSession,
  node: SlotNode,
  deadlineMs: number,
): Promise<SlotReport> {
  const row = await lookRow(client, deadlineMs);
  const nodes = row.installed ? await registeredNodes(client, deadlineMs) : [];
  const own: OwnSlotLook = {
    ...slotLookOf(row),
    nodes: nodes.map(({ name }) => name),
    master: nodes.find(({ is_master }) => is_master)?.name ?? null,
    redo: parseLsn(row.redo),
    streamsBy: row.streams_by,
    receives: row.receives,
  };
  const failures: string[] = [];
  const master = nodes.find(({ name, is_master }) => is_master && name !== node.name);
  let look: SlotLook | null = null;
  if (!own.inRecovery) toMaster.end();
  else if (takesPart(own.nodes, node) && master !== undefined)
    look = await slotsOf(toMaster, wholeConninfo(master.conninfo), deadlineMs).catch((error: unknown) => {
      failures.push(`the slots of ${master.name} could not be looked at: ${messageOf(error)}`);
      return null;
    });
  const done: SlotAction[] = [];
  for (const action of planSlots(own, look, node)) {
    try {
      if (await perform(client, action, row, deadlineMs)) done.push(action);
    } catch (error) {
      const { code } = error as { readonly code?: string };
      // Somebody has begun to stream by it since the look.
      if (code === '55006') continue;
      failures.push(`${describeAction(action)} failed: ${messageOf(error)}`);
      // No answer of the server: the session is of no use any more.
      if (code === undefined) break;
    }
  }
  return { done, failures };
}

/** For a log. */
export function describeAction(action: SlotAction): string {
  switch (action.kind) {
    case 'make':
      return `slot ${action.slot}: made`;
    case 'remake':
      return `slot ${action.slot}: made anew, since it ${action.since === 'lost' ? 'was lost (it held more WAL than max_slot_wal_keep_size)' : 'held rows from when this server was master'}`;
    case 'drop':
      return `slot ${action.slot}: dropped`;
    case 'advance':
      return `slot ${action.slot}: moved to ${formatLsn(action.to)}`;
    case 'stream-by':
      return action.slot === '' ? 'streaming without a slot' : `streaming by slot ${action.slot}`;
  }
}

async function lookRow(client: pg.Client, deadlineMs: number): Promise<LookRow> {
  const [row] = (await queryWithDeadline(client, lookSql, [], deadlineMs)).rows as LookRow[];
  if (row === undefined) throw new Error('the server told nothing of its slots');
  return row;
}

async function registeredNodes(client: pg.Client, deadlineMs: number): Promise<readonly NodeRow[]> {
  const sql = 'select name, conninfo, is_master from pgkeeper.node_info order by seqno';
  return (await queryWithDeadline(client, sql, [], deadlineMs)).rows as NodeRow[];
}

function slotLookOf(row: LookRow): SlotLook {
  return {
    inRecovery: row.in_recovery,
    slots: (row.slots ?? []).map((slot) => ({
      ...slot,
      restart: slot.restart === null ? null : parseLsn(slot.restart),
    })),
    streams: new Map((row.streams ?? []).map(({ name, flush }) => [name, parseLsn(flush)])),
  };
}

function slotsOf(session: KeptSession, conninfo: string, deadlineMs: number): Promise<SlotLook> {
  return session.run(conninfo, deadlineMs, async (client) => slotLookOf(await lookRow(client, deadlineMs)));
}

/** False where things have changed since the look, so that it was left undone. */
async function perform(
  client: pg.Client,
  action: SlotAction,
  seen: LookRow,
  deadlineMs: number,
): Promise<boolean> {
  const run = (sql: string, values: readonly unknown[] = []) =>
    queryWithDeadline(client, sql, values, deadlineMs);
  const slot = client.escapeLiteral(action.slot);
  const make = `select pg_create_physical_replication_slot(${slot}, true)`;
  const drop = `select pg_drop_replication_slot(${slot})`;
  switch (action.kind) {
    case 'make':
      await run(make);
      return true;
    case 'remake':
      await run(`${drop}; ${make}`);
      return true;
    case 'drop':
      await run(drop);
      return true;
    case 'advance':
      await run('select pg_replication_slot_advance($1, $2::text::pg_lsn)', [
        action.slot,
        formatLsn(action.to),
      ]);
      return true;
    case 'stream-by':
      return streamBy(client, action.slot, seen, deadlineMs);
  }
}

/** An election may have pointed the server elsewhere since the look, and chosen a slot or none for that. */
async function streamBy(
  client: pg.Client,
  slot: string,
  seen: LookRow,
  deadlineMs: number,
): Promise<boolean> {
  const same = `select pg_is_in_recovery() = $1 and current_setting('primary_conninfo') = $2
    and current_setting('primary_slot_name') = $3 as same`;
  const values = [seen.in_recovery, seen.follows, seen.streams_by];
  const [now] = (await queryWithDeadline(client, same, values, deadlineMs)).rows as { same: boolean }[];
  if (now?.same !== true) return false;
  // ALTER SYSTEM takes no part in a transaction, so it is a statement of its own.
  await queryWithDeadline(
    client,
    `alter system set primary_slot_name = ${client.escapeLiteral(slot)}`,
    [],
    deadlineMs,
  );
  await queryWithDeadline(client, 'select pg_reload_conf()', [], deadlineMs);
  return true;
}
