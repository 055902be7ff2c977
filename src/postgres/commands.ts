/**
 * What each command does on the session that holds (or may take) a server's vote. The role is checked again right
 * before anything that only fits one role. Any error here ends the session (voter-sessions.ts).
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Command, WitnessKey } from '../core/effects.js';
import type { Answer } from '../core/events.js';
import type { Observation } from '../core/types.js';
import { proveHold } from './hold-proof.js';
import { type ObservationRow, observationOf, observeSql, shortRetryInterval } from './observation.js';
import { isOperatorsLock, operatorLock, operatorLockClass } from './operator-lock.js';
import { endPause, writeRequest } from './planned-work.js';
import { report, writeFlags, writeSync, writeVoters } from './registry.js';
import { CommandError, type SessionContext } from './session-context.js';
import { checkPid, release, renew, tryVote } from './votes.js';
import { waitFor } from './waiting.js';
import {
  keepOnWitness,
  knowsWitnessTable,
  type WitnessRow,
  witnessObservation,
  witnessSql,
  witnessValues,
} from './witness.js';
import { writeEpoch } from './write-epoch.js';

const done: Answer = { kind: 'done' };

export async function runCommand(
  session: SessionContext,
  command: Command,
  deadlineMs: number,
): Promise<Answer> {
  switch (command.kind) {
    case 'observe':
      if (command.wait !== undefined) await waitFor(session, command.wait);
      return observe(session);
    case 'renew':
      return renew(session);
    case 'try-vote':
      return tryVote(session, command.knownMs);
    case 'release':
      return release(session);
    case 'follow':
      return follow(session, command.conninfo, command.slots ?? null);
    case 'shorten-retry':
      await alterSystem(session, 'wal_retrieve_retry_interval', shortRetryInterval);
      return reload(session);
    case 'reset-retry':
      await alterSystem(session, 'wal_retrieve_retry_interval', null);
      return reload(session);
    case 'clear-fence':
      return clearFence(session);
    case 'set-names':
      return setNames(session, command.names, deadlineMs);
    case 'end-sessions':
      await endSessions(session);
      return done;
    case 'resume-replay':
      return resumeReplay(session);
    case 'promote':
      return promote(session, command.conninfo);
    case 'prove-hold':
      return proveHold(session, deadlineMs);
    case 'write-epoch':
      return writeEpoch(session, command);
    case 'write-sync':
      return writeSync(session, command.sync);
    case 'write-voters':
      return writeVoters(session, command.voters);
    case 'write-witness':
      return writeWitness(session, command);
    case 'write-flags':
      return writeFlags(session, command.nextMaster, command.syncNames);
    case 'write-request':
      return writeRequest(session, command);
    case 'end-pause':
      return endPause(session);
    case 'read-wish':
      return readWish(session);
    case 'read-word':
      return readWord(session);
    case 'report':
      return report(session, command.events, command.state);
  }
}

const undefinedTable = '42P01';
/** pg_is_wal_replay_paused() on a server that has left recovery since the same look asked whether it is in recovery. */
const recoveryEnded = '55000';

async function observe(session: SessionContext): Promise<Answer> {
  const { client, witness } = session;
  if (witness !== null) return observeWitness(session, witness);
  if (!session.schemaKnown) {
    const { rows } = await client.query<{ known: boolean }>(
      `select to_regclass('pgkeeper.cluster_state') is not null as known`,
    );
    session.schemaKnown = rows[0]?.known === true;
  }
  try {
    return await observeOnce(session);
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === undefinedTable) session.schemaKnown = false;
    // A server never goes back into recovery, so once more is enough; without it a promotion would cost the vote that it rests on.
    else if (code !== recoveryEnded) throw error;
    return observeOnce(session);
  }
}

async function observeOnce(session: SessionContext): Promise<Answer> {
  // Named, so that the server plans it once a session: an eighth of the time of each look.
  const { rows } = await session.client.query<ObservationRow>({
    name: session.schemaKnown ? 'look' : 'look_without_registry',
    text: observeSql(session.schemaKnown),
    values: [session.applicationName()],
  });
  const row = rows[0];
  if (row === undefined) throw new CommandError('speaks', 'the observation returned no row');
  checkPid(session, row.pid);
  return { kind: 'observed', observation: withWholeRecords(session, observationOf(row)) };
}

/** Whoever has replayed every whole record has replayed everything: the rest of the last one may never come. */
function withWholeRecords(session: SessionContext, look: Observation): Observation {
  const { inRecovery, replayed, received } = look;
  if (!inRecovery || replayed >= received || session.endsWithinRecord?.(look) !== true) return look;
  return { ...look, replayed: received };
}

async function observeWitness(session: SessionContext, key: WitnessKey): Promise<Answer> {
  session.schemaKnown ||= await knowsWitnessTable(session);
  const { rows } = await session.client.query<WitnessRow>({
    name: session.schemaKnown ? 'look' : 'look_without_row',
    text: witnessSql(session.schemaKnown),
    values: witnessValues(session.applicationName(), key, session.schemaKnown),
  });
  const row = rows[0];
  if (row === undefined) throw new CommandError('speaks', 'the look at the witness returned no row');
  checkPid(session, row.pid);
  return { kind: 'observed', observation: witnessObservation(row) };
}

async function writeWitness(
  session: SessionContext,
  command: Extract<Command, { kind: 'write-witness' }>,
): Promise<Answer> {
  const { witness } = session;
  if (witness === null) throw new CommandError('speaks', 'that server is a node and keeps its own registry');
  await keepOnWitness(session, witness, command);
  return observeWitness(session, witness);
}

async function alterSystem(session: SessionContext, name: string, value: string | null): Promise<void> {
  const { client } = session;
  await client.query(
    value === null
      ? `alter system reset ${name}`
      : `alter system set ${name} = ${client.escapeLiteral(value)}`,
  );
}

async function reload(session: SessionContext): Promise<Answer> {
  await session.client.query('select pg_reload_conf()');
  return done;
}

async function requireRecovery(session: SessionContext, wanted: boolean): Promise<void> {
  const { rows } = await session.client.query<{ recovering: boolean }>(
    'select pg_is_in_recovery() as recovering',
  );
  if (rows[0]?.recovering !== wanted) {
    throw new CommandError(
      'speaks',
      wanted ? 'the server is no longer in recovery' : 'the server is in recovery',
    );
  }
}

/** `slots` null: nobody is there to stream from. */
async function follow(
  session: SessionContext,
  conninfo: string,
  slots: readonly string[] | null,
): Promise<Answer> {
  await requireRecovery(session, true);
  await alterSystem(session, 'primary_conninfo', conninfo);
  if (slots !== null) await leaveMissingSlot(session, slots);
  await alterSystem(session, 'wal_retrieve_retry_interval', shortRetryInterval);
  return reload(session);
}

/** A slot is on one server only, unless somebody made it on the others too. */
async function leaveMissingSlot(session: SessionContext, slots: readonly string[]): Promise<void> {
  const { rows } = await session.client.query<{ slot: string }>(
    `select current_setting('primary_slot_name') as slot`,
  );
  const slot = rows[0]?.slot ?? '';
  if (slot !== '' && !slots.includes(slot)) await alterSystem(session, 'primary_slot_name', '');
}

/** Known to the server only from its file; a role that may not reset it leaves it there, and the node is rejoined instead. */
async function clearFence(session: SessionContext): Promise<Answer> {
  try {
    await alterSystem(session, 'pg_keeper.fenced', null);
  } catch (error) {
    const code = (error as { code?: string }).code;
    if (code !== '42501' && code !== '42704') throw error;
    return done;
  }
  return reload(session);
}

/** Returns when this session itself shows the new names; that others act on them is proven elsewhere. */
async function setNames(session: SessionContext, names: string | null, deadlineMs: number): Promise<Answer> {
  const { client } = session;
  await alterSystem(session, 'synchronous_standby_names', names);
  await reload(session);
  if (names === null) return done;
  const until = performance.now() + deadlineMs / 2;
  for (;;) {
    const { rows } = await client.query<{ shown: string }>(
      `select current_setting('synchronous_standby_names') as shown`,
    );
    if (rows[0]?.shown === names) return done;
    if (performance.now() > until)
      throw new CommandError(
        'speaks',
        'synchronous_standby_names did not take effect; is it set on the command line?',
      );
    await delay(2);
  }
}

const isWord = isOperatorsLock(operatorLockClass, 'pgkeeper.failover_here(boolean)');

/** Client sessions and workers' sessions apart: only clients are ended. A superuser's can be ended by a superuser alone. */
async function endSessions(session: SessionContext): Promise<void> {
  await session.client.query(`select count(pg_terminate_backend(pid)) from pg_stat_activity
    where backend_type = 'client backend' and pid <> pg_backend_pid() and application_name !~ '^pgkw? '
      and exists (select from pg_roles me, pg_roles theirs where me.rolname = current_user and theirs.oid = usesysid
        and (me.rolsuper or not theirs.rolsuper))
      and not exists (select from pg_locks l where l.pid = pg_stat_activity.pid and ${isWord})`);
}

async function resumeReplay(session: SessionContext): Promise<Answer> {
  await requireRecovery(session, true);
  await session.client.query('select pg_wal_replay_resume()');
  await endSessions(session);
  return done;
}

async function promote(session: SessionContext, conninfo: string): Promise<Answer> {
  await requireRecovery(session, true);
  await alterSystem(session, 'primary_conninfo', conninfo);
  await reload(session);
  await session.client.query('select pg_promote(false)');
  return done;
}

/** An operator's session holds this lock as long as it wants to be heeded (pgkeeper.failover on a standby, `pgkeeper failover`). */
async function readWord(session: SessionContext): Promise<Answer> {
  const { rows } = await session.client.query<{ word: number | null }>(
    `select max(l.objid::bigint)::int as word from pg_locks l where ${isWord}`,
  );
  const word = rows[0]?.word ?? null;
  return { kind: 'word', acceptLoss: word === null ? null : word === operatorLock.acceptLoss };
}

/** The user's files apart from postgresql.auto.conf, where the keeper's own override lives. */
async function readWish(session: SessionContext): Promise<Answer> {
  const { rows } = await session.client.query<{ file: string | null; effective: string }>(`
    select (select setting from pg_file_settings where name = 'synchronous_standby_names'
        and sourcefile not like '%postgresql.auto.conf' order by seqno desc limit 1) as file,
      current_setting('synchronous_standby_names') as effective`);
  return { kind: 'wish', file: rows[0]?.file ?? null, effective: rows[0]?.effective ?? '' };
}
