/**
 * One look at the whole cluster from where the command runs: the registry of the server asked, then every registered
 * server directly and at the same time, each within a short deadline. Works on an isolated standby too. Reads only.
 */
import type pg from 'pg';
import { isForeign, witnessKeyOf } from '../core/foreign-server.js';
import { compareRegistry, type Registry, type Voter } from '../core/types.js';
import { discardClient, openClient, queryWithDeadline } from '../postgres/connect.js';
import { classifyFailure, type Failure } from '../postgres/failure.js';
import { type Judged, judge } from '../settings/check.js';
import { definitionOf } from '../settings/settings.js';
import { mergeEntries, type SettingEntry } from '../settings/sources.js';
import { CommandFailure, exitCodes } from './exit-codes.js';
import {
  type Answered,
  lookAt,
  type RegisteredNode,
  settingNames,
  type WorkerSession,
} from './server-look.js';
import type { Session } from './session.js';
import { grantsHint } from './sql-failure.js';

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
  /** node_info of the node with the newest registry. */
  readonly registered: readonly RegisteredNode[];
  /** The server that was asked, where no node has its name. */
  readonly stranger?: Stranger | null;
}

export interface Stranger {
  readonly name: string;
  /** When it was removed from the registry, as far as the server asked knows. Null = perhaps it never was a node. */
  readonly removedAt: string | null;
  readonly hasWorker: boolean;
}

/** Longest wait for one server; all are asked at once. */
const lookDeadlineMs = 2000;

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
    const hints = kind === 'privilege' ? [grantsHint] : [];
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
  let newestOfNodes: Registry = registry;
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
      if (node.look.kind !== 'answered') continue;
      const { observation } = node.look;
      const theirs = observation.registry;
      if (theirs === null) continue;
      if (node.voter.kind === 'node' && compareRegistry(theirs, newestOfNodes) > 0) {
        newestOfNodes = theirs;
        registered = node.look.registered;
      }
      // Who takes the vote of a witness judges by the row that it keeps; another server in its place has no say.
      const counts = node.voter.kind === 'node' || !isForeign(known, node.voter, observation);
      if (counts && compareRegistry(theirs, registry) > 0) registry = theirs;
    }
  }
  const newest = registry;
  return {
    registry: newest,
    registered,
    stranger: await strangerAt(session, asked, newest),
    nodes: votersOf(newest).flatMap((voter) => looks.get(voter.name) ?? []),
  };
}

/** By the name in the settings of its server; without one nothing is said. */
async function strangerAt(session: Session, asked: Answered, registry: Registry): Promise<Stranger | null> {
  const name = asked.observation.nodeName;
  if (name === null || registry.nodes.some((node) => node.name === name)) return null;
  const hasWorker = asked.workers.some((worker) => isSameNode(worker, name));
  return { name, hasWorker, removedAt: await removedAt(session, name) };
}

async function removedAt(session: Session, name: string): Promise<string | null> {
  const sql = `select to_char(max(at) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as at from pgkeeper.events where code = 'node-removed' and node = $1`;
  try {
    const { rows } = await queryWithDeadline(session.client, sql, [name], lookDeadlineMs);
    return (rows[0] as { readonly at: string | null }).at;
  } catch {
    return null;
  }
}

/** Null where the server asked is a node. */
export function strangerText({ stranger }: ClusterLook): string | null {
  if (stranger === undefined || stranger === null) return null;
  const { name, removedAt: at, hasWorker } = stranger;
  const what =
    at === null
      ? `${name}, the server asked, is no node of this cluster`
      : `${name}, the server asked, is no node any more: it was removed at ${at}`;
  const worker = hasWorker
    ? 'a worker still runs beside it, which only watches (stop it: systemctl disable --now pgkeeper)'
    : 'no worker looks after it';
  return `${what}; it has no vote, is never promoted, and ${worker}`;
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

export type SyncMode = 'on' | 'degraded' | 'off';

export function syncOf(registry: Registry): SyncMode {
  if (registry.syncWished === 0) return 'off';
  return registry.syncNeeded === 0 ? 'degraded' : 'on';
}

export function answered(node: NodeLook | undefined): Answered | null {
  return node?.look.kind === 'answered' ? node.look : null;
}

/** Names of the voters whose vote the master holds. */
export function heldByMaster({ nodes, registry }: ClusterLook): ReadonlySet<string> {
  const held = nodes.filter((node) => isHolder(answered(node)?.voteHolder ?? null, registry.master));
  return new Set(held.map(({ voter }) => voter.name));
}

function isHolder(holder: string | null, master: string | null): boolean {
  return holder !== null && master !== null && isSameNode({ node: holder, state: '', silentMs: 0 }, master);
}
