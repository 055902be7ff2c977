/**
 * One look at the whole cluster from where the command runs: the registry of the server asked, then every registered
 * server directly and at the same time, each within a short deadline. Works on an isolated standby too. Reads only.
 */
import type pg from 'pg';
import type { WitnessKey } from '../core/effects.js';
import { witnessKeyOf } from '../core/foreign-server.js';
import { compareRegistry, type Observation, type Registry, type Voter } from '../core/types.js';
import { discardClient, openClient, queryWithDeadline } from '../postgres/connect.js';
import { classifyFailure, type Failure } from '../postgres/failure.js';
import { type ObservationRow, observationOf, observeSql } from '../postgres/observation.js';
import { type WitnessRow, witnessObservation, witnessSql, witnessTableSql } from '../postgres/witness.js';
import { type Judged, judge } from '../settings/check.js';
import { definitionOf, definitions } from '../settings/settings.js';
import { mergeEntries, type SettingEntry } from '../settings/sources.js';
import { CommandFailure, exitCodes } from './exit-codes.js';
import type { Session } from './session.js';

/** A worker as its sessions on a server show it. */
export interface WorkerSession {
  readonly node: string;
  readonly state: string;
  /** Since its last statement there. */
  readonly silentMs: number;
}

/** A row of node_info, with what node_state knows, as one server has it. */
export interface RegisteredNode {
  readonly name: string;
  readonly seqno: number;
  readonly is_master: boolean;
  readonly is_nextmaster: boolean;
  readonly is_sync: boolean;
  readonly state: string | null;
  readonly since: string | null;
}

export interface Answered {
  readonly kind: 'answered';
  readonly observation: Observation;
  readonly registered: readonly RegisteredNode[];
  readonly workers: readonly WorkerSession[];
  /** Name of the node whose worker holds this server's vote. */
  readonly voteHolder: string | null;
  readonly serverVersion: number;
  /** Their wall clock minus ours; true within +- roundTripMs / 2. */
  readonly clockOffsetMs: number;
  readonly roundTripMs: number;
  /** pg_keeper.* as a session there sees them; flags and environment of its worker may say otherwise. */
  readonly keeperSettings: Readonly<Record<string, string | null>>;
}

export interface Silent {
  readonly kind: 'silent';
  readonly failure: Failure;
}

export interface NodeLook {
  readonly voter: Voter;
  readonly look: Answered | Silent;
}

export interface ClusterLook {
  /** Newest registry row found anywhere. */
  readonly registry: Registry;
  /** Registered nodes and witnesses, in order of seqno. */
  readonly nodes: readonly NodeLook[];
  /** node_info of the server with the newest registry. */
  readonly registered: readonly RegisteredNode[];
}

/** Longest wait for one server; all are asked at once. */
const lookDeadlineMs = 2000;

const detailsSql = (withRegistry: boolean) => `
select current_setting('server_version_num')::int as server_version,
  extract(epoch from clock_timestamp()) * 1000 as clock_ms,
  (select json_object_agg(n.name, nullif(current_setting('pg_keeper.' || n.name, true), ''))
   from unnest($1::text[]) as n(name)) as keeper_settings,
  (select json_agg(json_build_object('name', a.application_name, 'silentMs',
      extract(epoch from clock_timestamp() - coalesce(a.state_change, a.backend_start)) * 1000) order by a.backend_start)
   from pg_stat_activity a where a.application_name like 'pgk %') as workers,
  (select a.application_name from pg_locks l join pg_stat_activity a using (pid)
   where l.locktype = 'advisory' and l.granted and l.mode = 'ExclusiveLock' and l.objsubid = 1
     and ((l.classid::bigint << 32) | l.objid::bigint) = (select coalesce($2::bigint, c.system_identifier) from pg_control_system() c)
   limit 1) as holder,
  ${
    withRegistry
      ? `(select json_agg(json_build_object('name', n.name, 'seqno', n.seqno, 'is_master', n.is_master, 'is_nextmaster',
      n.is_nextmaster, 'is_sync', n.is_sync, 'state', s.state, 'since', s.since) order by n.seqno)
   from pgkeeper.node_info n left join pgkeeper.node_state s using (name)) as registered`
      : 'null::json as registered'
  }`;

const settingNames = definitions.flatMap(({ name, aliases }) => [name, ...(aliases ?? [])]);

interface DetailsRow {
  readonly server_version: number;
  readonly clock_ms: string;
  readonly keeper_settings: Readonly<Record<string, string | null>>;
  readonly workers: readonly { readonly name: string; readonly silentMs: number }[] | null;
  readonly holder: string | null;
  readonly registered: readonly RegisteredNode[] | null;
}

/** 'pgk STATE NAME', on a witness 'pgkw CLUSTER NAME', as voter-sessions.ts writes it. */
function workerOf(applicationName: string): { readonly node: string; readonly state: string } | null {
  const [, state, node] = /^pgkw? (\S+) (.+)$/s.exec(applicationName) ?? [];
  return state === undefined || node === undefined ? null : { node, state };
}

async function observe(
  client: pg.Client,
  withRegistry: boolean,
  witness: WitnessKey | null,
  deadlineMs: number,
): Promise<Observation> {
  if (witness === null) {
    const { rows } = await queryWithDeadline(client, observeSql(withRegistry), ['pgkeeper'], deadlineMs);
    return observationOf(rows[0] as ObservationRow);
  }
  const known = await queryWithDeadline(client, witnessTableSql, [], deadlineMs);
  const withRow = (known.rows[0] as { readonly known: boolean }).known;
  const key = withRow ? [witness.systemIdentifier, witness.token] : [];
  const { rows } = await queryWithDeadline(client, witnessSql(withRow), ['pgkeeper', ...key], deadlineMs);
  return witnessObservation(rows[0] as WitnessRow);
}

/** What one server tells on an open session. */
export async function lookAt(
  client: pg.Client,
  withRegistry: boolean,
  witness: WitnessKey | null,
  deadlineMs: number,
): Promise<Answered> {
  const observation = await observe(client, withRegistry, witness, deadlineMs);
  const sentAt = Date.now();
  const values = [settingNames, witness?.systemIdentifier ?? null];
  const result = await queryWithDeadline(client, detailsSql(withRegistry), values, deadlineMs);
  const roundTripMs = Date.now() - sentAt;
  const details = result.rows[0] as DetailsRow;
  return {
    kind: 'answered',
    observation,
    registered: details.registered ?? [],
    workers: (details.workers ?? []).flatMap(({ name, silentMs }) => {
      const worker = workerOf(name);
      return worker === null ? [] : [{ ...worker, silentMs }];
    }),
    voteHolder: details.holder === null ? null : (workerOf(details.holder)?.node ?? details.holder),
    serverVersion: details.server_version,
    clockOffsetMs: Number(details.clock_ms) - (sentAt + roundTripMs / 2),
    roundTripMs,
    keeperSettings: details.keeper_settings,
  };
}

/** Looks at a registered server by its own conninfo; every failure is a value. */
async function lookDirectly(registry: Registry, voter: Voter): Promise<Answered | Silent> {
  let client: pg.Client | null = null;
  try {
    client = await openClient(voter.conninfo, {
      applicationName: 'pgkeeper',
      connectTimeoutMs: lookDeadlineMs,
    });
    return await lookAt(client, voter.kind === 'node', witnessKeyOf(registry, voter), lookDeadlineMs);
  } catch (error) {
    return { kind: 'silent', failure: classifyFailure(error) };
  } finally {
    if (client !== null) discardClient(client);
  }
}

const undefinedObject: ReadonlySet<string> = new Set(['42P01', '42883', '3F000']);

/** The look at the server a command was pointed at. Its failures end the command. */
export async function lookAtAsked(session: Session): Promise<Answered> {
  try {
    return await lookAt(session.client, true, null, lookDeadlineMs * 2);
  } catch (error) {
    const code = String((error as { readonly code?: unknown }).code ?? '');
    if (undefinedObject.has(code)) throw await missingObjects(session);
    const { kind, message } = classifyFailure(error);
    const hints = kind === 'privilege' ? ['Use a superuser, or a role made with deploy/grants.sql.'] : [];
    throw new CommandFailure(kind === 'timeout' ? exitCodes.timeout : exitCodes.failed, message, hints);
  }
}

async function missingObjects(session: Session): Promise<CommandFailure> {
  const { rows } = await session.client.query<{ db: string; standby: boolean }>(
    'select current_database() as db, pg_is_in_recovery() as standby',
  );
  return new CommandFailure(
    exitCodes.failed,
    `the pgkeeper objects are not in database "${rows[0]?.db ?? ''}"`,
    [
      'If they are in another database, name it with -d.',
      `To install them, on the master: CREATE EXTENSION pg_keeper CASCADE; or: pgkeeper migrate -d ...`,
    ],
  );
}

function votersOf(registry: Registry): readonly Voter[] {
  const known = new Map<string, Voter>();
  for (const voter of [...registry.nodes, ...registry.voters])
    if (!known.has(voter.name)) known.set(voter.name, voter);
  return [...known.values()].sort((a, b) => a.seqno - b.seqno);
}

/** A newer registry may name servers that the asked one does not know: those are looked at too. */
const lookRounds = 3;

/** Null when no node is registered. */
export async function lookAtCluster(session: Session): Promise<ClusterLook | null> {
  const asked = await lookAtAsked(session);
  let registry = asked.observation.registry;
  if (registry === null) return null;
  let registered = asked.registered;
  const looks = new Map<string, NodeLook>();
  for (let round = 0; round < lookRounds; round++) {
    const known: Registry = registry;
    const missing: readonly Voter[] = votersOf(known).filter(
      (voter) => looks.get(voter.name)?.voter.conninfo !== voter.conninfo,
    );
    if (missing.length === 0) break;
    const found = await Promise.all(
      missing.map(async (voter) => ({ voter, look: await lookOrAsked(known, voter, asked) })),
    );
    for (const node of found) {
      looks.set(node.voter.name, node);
      const theirs = node.look.kind === 'answered' ? node.look.observation.registry : null;
      if (
        node.look.kind === 'answered' &&
        node.voter.kind === 'node' &&
        theirs !== null &&
        compareRegistry(theirs, registry) > 0
      ) {
        registry = theirs;
        registered = node.look.registered;
      }
    }
  }
  const newest = registry;
  return {
    registry: newest,
    registered,
    nodes: votersOf(newest).flatMap((voter) => looks.get(voter.name) ?? []),
  };
}

/** The asked server answers already, even where its registered address does not lead there from this host. */
async function lookOrAsked(registry: Registry, voter: Voter, asked: Answered): Promise<Answered | Silent> {
  const look = await lookDirectly(registry, voter);
  return look.kind === 'silent' && asked.observation.nodeName === voter.name ? asked : look;
}

/** The settings of a node as its server shows them, judged as its worker would. */
export function settingsOfNode(look: Answered, name: string): Judged {
  const entries = settingNames.flatMap((spelling) => {
    const text = look.keeperSettings[spelling];
    const definition = definitionOf(spelling);
    if (text === null || text === undefined || definition === undefined) return [];
    return [{ name: definition.name, text, source: { kind: 'session' as const } }];
  });
  const named: SettingEntry = { name: 'node_name', text: name, source: { kind: 'session' } };
  return judge(mergeEntries([[named], entries]), { ownConninfo: '', dataDirectory: null });
}

/** A worker that said nothing for so long is not there, whatever its last word was. */
function longestSilenceMs(cluster: ClusterLook): number {
  const times = cluster.nodes.flatMap(({ voter, look }) => {
    const settings = look.kind === 'answered' ? settingsOfNode(look, voter.name).settings : null;
    return settings === null ? [] : [settings.keepaliveTimeMs * settings.keepaliveCount];
  });
  return 2 * Math.max(5000, ...times);
}

/** State of a node's worker: by its session on its own server, else on the master, else anywhere. Null = no worker seen. */
export function workerStateOf(cluster: ClusterLook, name: string): string | null {
  const { master } = cluster.registry;
  const order = [...cluster.nodes].sort(
    (a, b) => rankOf(b.voter.name, name, master) - rankOf(a.voter.name, name, master),
  );
  const longestMs = longestSilenceMs(cluster);
  for (const { look } of order) {
    if (look.kind !== 'answered') continue;
    const worker = look.workers.findLast((one) => isSameNode(one, name) && one.silentMs < longestMs);
    if (worker !== undefined) return worker.state;
  }
  return null;
}

function rankOf(server: string, name: string, master: string | null): number {
  return server === name ? 2 : server === master ? 1 : 0;
}

/** application_name is cut at 63 bytes, so a long name may have lost its end. */
export function isSameNode(worker: WorkerSession, name: string): boolean {
  const full = Buffer.from(`pgk ${worker.state} ${name}`);
  return (
    worker.node === name ||
    (full.length > 63 && full.subarray(0, 63).toString() === `pgk ${worker.state} ${worker.node}`)
  );
}
