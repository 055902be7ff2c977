/** `pgkeeper status`: the cluster at a glance, from any node, also from an isolated standby. */
import { messageOf } from '../core/error-text.js';
import { formatLsn } from '../core/lsn.js';
import { pauseOf } from '../core/plan.js';
import type { Registry } from '../core/types.js';
import { majorityOf } from '../core/votes/lease.js';
import { streamsFrom } from '../core/watch/suspicion.js';
import {
  answered,
  type ClusterLook,
  heldByMaster,
  lookAtCluster,
  type NodeLook,
  type SyncMode,
  syncOf,
  workerStateOf,
} from './cluster-look.js';
import { type ConnectionOptions, conninfoOf } from './connection-options.js';
import { type ExitCode, exitCodes } from './exit-codes.js';
import { failureText } from './failure-text.js';
import { formatBytes, print, printJson, say, tableLines } from './output.js';
import { quorumOf } from './quorum-look.js';
import type { Answered } from './server-look.js';
import { withSession } from './session.js';
import { ageOf, warningsOf } from './status-warnings.js';

export interface StatusOptions extends ConnectionOptions {
  readonly json?: boolean;
  readonly watch?: boolean;
}

export interface NodeStatus {
  readonly name: string;
  readonly role: 'master' | 'standby' | 'witness';
  readonly state: string;
  readonly reachable: boolean;
  readonly is_nextmaster: boolean;
  readonly is_sync: boolean;
  readonly timeline: number | null;
  readonly lsn: string | null;
  readonly lag_bytes: number | null;
  /** When its worker entered that state, as far as the master knows. */
  readonly since: string | null;
  /** Whose worker holds this server's vote. */
  readonly lease: string | null;
  /** Of a standby: when it last had a message or a transaction of its master, as far as it can tell now. */
  readonly heard_of_master: string | null;
  /** Is a worker seen beside this server? */
  readonly worker: boolean;
  /** Why it could not be reached. */
  readonly error: string | null;
}

export interface ClusterStatus {
  readonly epoch: number;
  readonly master: string | null;
  readonly sync: SyncMode;
  /** Nobody is promoted or fenced by itself; ending: resume was asked for. */
  readonly pause: 'on' | 'ending' | null;
  readonly quorum: { readonly voters: number; readonly needed: number; readonly held: number };
  readonly nodes: readonly NodeStatus[];
  readonly warnings: readonly string[];
}

export function statusOf(cluster: ClusterLook): ClusterStatus {
  const { registry } = cluster;
  const master = answered(cluster.nodes.find((node) => node.voter.name === registry.master));
  const nodes = cluster.nodes.map((node) => nodeStatus(cluster, node, master));
  const quorum = quorumOf(cluster, registry.master);
  const heldVotes = heldByMaster(cluster);
  const held = registry.voters.filter(({ name }) => heldVotes.has(name)).length;
  return {
    epoch: registry.epoch,
    master: registry.master,
    sync: syncOf(registry),
    pause: pauseOf(registry),
    quorum: { voters: registry.voters.length, needed: majorityOf(registry.voters, quorum), held },
    nodes,
    warnings: warningsOf(cluster, nodes),
  };
}

function nodeStatus(cluster: ClusterLook, node: NodeLook, master: Answered | null): NodeStatus {
  const { voter } = node;
  const look = answered(node);
  const observation = look?.observation ?? null;
  const registered = cluster.registered.find((row) => row.name === voter.name);
  const state = shownState(cluster, node);
  const isWitness = voter.kind === 'witness';
  const isMaster = observation === null ? cluster.registry.master === voter.name : !observation.inRecovery;
  return {
    name: voter.name,
    role: isWitness ? 'witness' : isMaster ? 'master' : 'standby',
    state: isWitness && look !== null ? 'witness' : (state ?? 'unreachable'),
    reachable: look !== null,
    is_nextmaster: registered?.is_nextmaster ?? false,
    is_sync: registered?.is_sync ?? false,
    timeline: isWitness ? null : (observation?.timeline ?? null),
    lsn: observation === null || isWitness ? null : formatLsn(observation.replayed),
    lag_bytes: isWitness ? null : lagOf(node, master),
    since: registered?.state === state ? (registered?.since ?? null) : null,
    lease: look?.voteHolder ?? null,
    heard_of_master: isWitness || look === null ? null : heardOfMaster(cluster.registry, look),
    worker: !isWitness && state !== null,
    error: node.look.kind === 'silent' ? failureText(node.look.failure) : null,
  };
}

/** The newer of its last transaction and, where the master itself sends to it, the last message: others send on what they have. */
function heardOfMaster(registry: Registry, { observation, replayedAgeMs }: Answered): string | null {
  const master = registry.nodes.find((node) => node.name === registry.master);
  const direct = master !== undefined && streamsFrom(observation, master);
  const messageAgeMs = direct ? (observation.walReceiver?.lastMessageAgeMs ?? null) : null;
  const ages = [replayedAgeMs, messageAgeMs].filter((age) => age !== null);
  return ages.length === 0 ? null : new Date(Date.now() - Math.min(...ages)).toISOString();
}

/** Of a server out of reach, its worker's word counts elsewhere only where it speaks of being out of work. */
function shownState(cluster: ClusterLook, node: NodeLook): string | null {
  const state = workerStateOf(cluster, node.voter.name);
  if (node.look.kind === 'answered' || state === null || !/^(standby|master):/.test(state)) return state;
  return null;
}

/** Bytes between the master's flushed position and what the node has replayed; both were read at nearly one time. */
function lagOf(node: NodeLook, master: Answered | null): number | null {
  const own = answered(node)?.observation;
  if (own !== undefined && !own.inRecovery) return 0;
  if (master === null) return own === undefined ? null : Number(own.received - own.replayed);
  const streamed = master.observation.replication.find((row) => row.name === node.voter.name)?.replayLsn;
  const known = [own?.replayed, streamed].filter((lsn) => lsn !== undefined && lsn !== null);
  if (known.length === 0) return null;
  const furthest = known.sort((a, b) => (a < b ? 1 : -1))[0] ?? 0n;
  const behind = master.observation.received - furthest;
  return behind > 0n ? Number(behind) : 0;
}

function statusLines(status: ClusterStatus): readonly string[] {
  const { quorum } = status;
  const master = status.nodes.find(({ name }) => name === status.master);
  const leads = master?.reachable === true && master.state.startsWith('master:');
  const who = leads ? `master ${status.master}` : `no master to be seen (last: ${status.master ?? 'none'})`;
  const head = `${who}   epoch ${status.epoch}   sync ${status.sync}   votes held ${quorum.held} of ${quorum.voters}, ${quorum.needed} needed`;
  const rows = status.nodes.map((node) => [
    node.name,
    node.role,
    node.reachable && !node.worker && node.role !== 'witness' ? `${node.state} (no worker)` : node.state,
    node.reachable,
    node.is_nextmaster ? 'next' : null,
    node.is_sync ? 'sync' : null,
    node.timeline,
    node.lsn,
    formatBytes(node.lag_bytes),
    node.lease,
    node.since === null ? null : ageOf(node.since),
  ]);
  const headings = [
    'NODE',
    'ROLE',
    'STATE',
    'REACHABLE',
    'NEXT',
    'SYNC',
    'TIMELINE',
    'LSN',
    'LAG',
    'VOTE HELD BY',
    'SINCE',
  ];
  return [head, '', ...tableLines(headings, rows), ...status.warnings.map((text) => `! ${text}`)];
}

export async function runStatus(options: StatusOptions): Promise<ExitCode> {
  const conninfo = conninfoOf(options);
  if (options.watch === true) return watch(conninfo, options.json === true);
  const status = await read(conninfo);
  if (status === null) {
    if (options.json === true) printJson(emptyStatus);
    say('no node is registered; on the master: pgkeeper add-node NAME CONNINFO');
    return exitCodes.done;
  }
  if (options.json === true) printJson(status);
  else print(statusLines(status).join('\n'));
  return exitCodes.done;
}

const emptyStatus: ClusterStatus = {
  epoch: 0,
  master: null,
  sync: 'off',
  pause: null,
  quorum: { voters: 0, needed: 0, held: 0 },
  nodes: [],
  warnings: [],
};

function read(conninfo: string): Promise<ClusterStatus | null> {
  return withSession(conninfo, async (session) => {
    const cluster = await lookAtCluster(session);
    return cluster === null ? null : statusOf(cluster);
  });
}

const watchIntervalMs = 1000;

/** Until interrupted. A server that does not answer is shown and asked again. */
async function watch(conninfo: string, json: boolean): Promise<ExitCode> {
  let stopped = false;
  let wake: () => void = () => undefined;
  process.once('SIGINT', () => {
    stopped = true;
    wake();
  });
  while (!stopped) {
    const text = await screen(conninfo, json);
    // On a terminal each picture replaces the last one.
    if (process.stdout.isTTY && !json) process.stdout.write(`\u001b[2J\u001b[H${text}\n`);
    else print(text);
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, watchIntervalMs);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
      if (stopped) wake();
    });
  }
  return exitCodes.done;
}

async function screen(conninfo: string, json: boolean): Promise<string> {
  try {
    const status = await read(conninfo);
    if (json) return JSON.stringify(status ?? emptyStatus);
    const lines = status === null ? ['no node is registered'] : statusLines(status);
    return [new Date().toISOString(), ...lines, ''].join('\n');
  } catch (error) {
    if (json) throw error;
    return `${new Date().toISOString()}\n${messageOf(error)}\n`;
  }
}
