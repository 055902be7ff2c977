/**
 * What an election would do now: the core's own ranking and restriction, applied to live looks at every server, with the
 * present master taken for dead if it lives. Pure: looks in, verdict out.
 */

import { formatDuration } from '../core/duration.js';
import { formatLsn } from '../core/lsn.js';
import { pauseOf } from '../core/plan.js';
import { type Candidate, candidateOf, compareWal, objectionTo, rank, restriction } from '../core/ranking.js';
import type { Registry } from '../core/types.js';
import { majorityOf } from '../core/votes/lease.js';
import type { Settings } from '../settings/settings.js';
import {
  answered,
  type ClusterLook,
  type NodeLook,
  type SyncMode,
  settingsOfNode,
  strangerText,
  syncOf,
  workerStateOf,
} from './cluster-look.js';
import { failureText } from './failure-text.js';
import { neverPromoted } from './never-promoted.js';
import { formatBytes } from './output.js';
import { quorumOf, twoNodesText } from './quorum-look.js';

export interface Place {
  readonly name: string;
  /** 1 = goes first; null = is no candidate. */
  readonly place: number | null;
  readonly reason: string;
}

export interface Outage {
  /** The server dies, its host lives. */
  readonly crash_ms: number;
  /** The host is lost, frozen or cut off. */
  readonly silence_ms: number;
  readonly failover_time_ms: number;
  readonly fast_failover: boolean;
  /** Why a crash is treated like silence; null where it is not. */
  readonly slow_because: string | null;
  /** Most a fencing_command may add. */
  readonly fencing_command_ms: number;
  /** Received but not yet replayed by the one who would be promoted. */
  readonly replay_bytes: number;
}

export interface Forecast {
  readonly epoch: number;
  readonly master: string | null;
  /** The master answers and is writable. */
  readonly master_alive: boolean;
  readonly would_promote: string | null;
  readonly why: string;
  readonly places: readonly Place[];
  readonly blocked_by: readonly string[];
  /** What ends that, where it is more than waiting. */
  readonly way_out: string | null;
  readonly votes: { readonly voters: number; readonly needed: number; readonly reachable: number };
  readonly commits: {
    readonly members: readonly string[];
    readonly needed: number;
    readonly must_be_present: number;
    readonly present: number;
    readonly awaited: readonly string[];
    readonly sync: SyncMode;
  };
  readonly outage: Outage | null;
  /** What the verdict does not show, and the operator must know. */
  readonly warnings: readonly string[];
}

/** Others that would go on without: how long each lower-ranked one waits for a better one, as in core/election. */
const rankDelayMs = 250;
/** Longest try for votes in one round, as in core/election. */
const voteBoundMs = 400;
/** Freeze, promotion and the epoch's row on a majority, on an idle healthy cluster with some reserve. */
const promotionMs = 500;

export function forecastOf(cluster: ClusterLook): Forecast {
  const { registry } = cluster;
  const masterNode = cluster.nodes.find((node) => node.voter.name === registry.master);
  const masterLook = answered(masterNode)?.observation;
  const masterAlive = masterLook !== undefined && !masterLook.inRecovery;
  const others = cluster.nodes.filter((node) => !(masterAlive && node === masterNode));
  const here = new Set(
    others
      .filter((node) => node.look.kind === 'answered' && isVoter(registry, node))
      .map((node) => node.voter.name),
  );
  const ranking = rank(
    others.flatMap((node) => candidateFor(registry, node) ?? []),
    preferredOf(registry),
  );
  const active = ranking.filter((candidate) => workerStateOf(cluster, candidate.name) !== null);
  const [first] = active;
  const votes = {
    voters: registry.voters.length,
    needed: majorityOf(registry.voters, quorumOf(cluster, first?.name ?? null)),
    reachable: here.size,
  };
  const nodesHere = new Set([...here].filter((name) => kindOf(registry, name) === 'node'));
  const formerMasterHere =
    !masterAlive && masterLook?.registry?.epoch === registry.epoch && masterLook.readToEnd;
  const verdict = restriction(registry, nodesHere, formerMasterHere);
  const commits = {
    members: registry.syncMembers,
    needed: registry.syncNeeded,
    must_be_present: verdict.need,
    present: verdict.have,
    awaited: verdict.awaited,
    sync: syncOf(registry),
  };
  const missing = verdict.satisfied ? null : verdict.awaited;
  const blocked = blockedBy(cluster, first, votes, missing, masterAlive);
  return {
    epoch: registry.epoch,
    master: registry.master,
    master_alive: masterAlive,
    would_promote: blocked.length === 0 ? (first?.name ?? null) : null,
    why: first === undefined ? 'no node may be promoted' : whyFirst(first, active[1], registry),
    places: others
      .filter((node) => node.voter.kind === 'node')
      .map((node) => placeOf(cluster, node, active, registry))
      .sort((a, b) => (a.place ?? 1000) - (b.place ?? 1000)),
    blocked_by: blocked,
    way_out: first === undefined ? (neverPromoted(cluster)?.mend ?? null) : null,
    votes,
    commits,
    outage: first === undefined ? null : outageOf(cluster, first, active.length),
    warnings: [
      (!masterAlive && blocked.length === 0 && heldUpText(cluster, first)) || [],
      strangerText(cluster) ?? [],
      twoNodesText(cluster) ?? [],
    ].flat(),
  };
}

/** Its worker says blocked where the rules block nothing: that is its fencing_command, or about to be over. */
function heldUpText(cluster: ClusterLook, first: Candidate | undefined): string | null {
  if (first === undefined || workerStateOf(cluster, first.name) !== 'standby:blocked') return null;
  return `${first.name} is standby:blocked all the same. If it stays so, its fencing_command fails: the log of its worker has fencing-command-failed, and it is run again and again`;
}

function isVoter(registry: Registry, node: NodeLook): boolean {
  return registry.voters.some((voter) => voter.name === node.voter.name);
}

function kindOf(registry: Registry, name: string): 'node' | 'witness' {
  return registry.voters.find((voter) => voter.name === name)?.kind ?? 'node';
}

function candidateFor(registry: Registry, node: NodeLook): Candidate | null {
  const look = answered(node);
  return look === null || !isVoter(registry, node)
    ? null
    : candidateOf(node.voter, look.observation, registry);
}

/** As the core prefers: the first member of R that is not the master. */
function preferredOf(registry: Registry): string | null {
  return registry.syncMembers.find((name) => name !== registry.master) ?? null;
}

/** The first criterion of the ranking in which `a` is better than `b`. */
function advantage(a: Candidate, b: Candidate, registry: Registry): string {
  if (a.formerMaster !== b.formerMaster) return `${a.name} was the last master and has its data`;
  if (a.inSyncSet !== b.inSyncSet) return `${a.name} is a member of the synchronous set, ${b.name} is not`;
  if (a.timeline !== b.timeline) return `${a.name} is on timeline ${a.timeline}, ${b.name} on ${b.timeline}`;
  const order = compareWal(a, b);
  if (order !== 0)
    return `${a.name} has received ${formatBytes(Number(a.received - b.received))} more than ${b.name}`;
  if (a.priority !== b.priority) return `${a.name} has priority ${a.priority}, ${b.name} ${b.priority}`;
  if (a.name === preferredOf(registry))
    return `both have the same data, and ${a.name} is named first in synchronous_standby_names`;
  return `both have the same data and priority, and ${a.name} was registered first`;
}

function whyFirst(first: Candidate, second: Candidate | undefined, registry: Registry): string {
  return second === undefined
    ? `${first.name} is the only node that may be promoted`
    : advantage(first, second, registry);
}

function placeOf(
  cluster: ClusterLook,
  node: NodeLook,
  active: readonly Candidate[],
  registry: Registry,
): Place {
  const { name } = node.voter;
  const place = active.findIndex((candidate) => candidate.name === name);
  const self = active[place];
  const better = active[place - 1];
  if (self === undefined) return { name, place: null, reason: whyNot(cluster, node, registry) };
  const position = `received ${self.timeline}:${formatLsn(self.received)}, priority ${self.priority}`;
  if (better === undefined) return { name, place: 1, reason: position };
  return { name, place: place + 1, reason: `${position}; ${advantage(better, self, registry)}` };
}

function whyNot(cluster: ClusterLook, node: NodeLook, registry: Registry): string {
  if (node.look.kind === 'silent') return `cannot be reached from here: ${failureText(node.look.failure)}`;
  const { observation } = node.look;
  if (!isVoter(registry, node)) return 'is registered, but has no vote yet';
  const objection = objectionTo(node.voter, observation, registry);
  if (objection !== null) return objection;
  return workerStateOf(cluster, node.voter.name) === null
    ? 'has no running worker to promote it'
    : 'may not be promoted';
}

function blockedBy(
  cluster: ClusterLook,
  first: Candidate | undefined,
  votes: Forecast['votes'],
  awaited: readonly string[] | null,
  masterAlive: boolean,
): readonly string[] {
  const { registry } = cluster;
  const blocks: string[] = [];
  if (first === undefined) blocks.push(neverPromoted(cluster)?.text ?? 'no node may be promoted');
  if (pauseOf(registry) !== null)
    blocks.push('the cluster is paused: nobody is promoted until pgkeeper resume');
  if (votes.reachable < votes.needed)
    blocks.push(
      `no majority: ${votes.reachable} of ${votes.voters} voters would be there, ${votes.needed} are needed`,
    );
  if (awaited !== null) {
    // Nothing waits while there is a master.
    const waits = `${masterAlive ? 'it would wait' : 'waits'} for ${awaited.join(', ')}`;
    blocks.push(
      registry.syncNeeded === 0
        ? `synchronous replication is degraded: only ${registry.master} has every acknowledged commit; ${waits}`
        : `acknowledged commits could be missing: ${waits}`,
    );
  }
  return blocks;
}

function outageOf(cluster: ClusterLook, first: Candidate, candidates: number): Outage | null {
  const look = answered(cluster.nodes.find((node) => node.voter.name === first.name));
  const settings = look === null ? null : settingsOfNode(look, first.name).settings;
  if (look === null || settings === null) return null;
  const askMs = Math.min(1000, Math.max(100, settings.keepaliveTimeMs / 2));
  const failoverMs = settings.keepaliveTimeMs * settings.keepaliveCount;
  const electionMs = voteBoundMs + promotionMs + rankDelayMs * Math.max(0, candidates - 1);
  const slowBecause = slowness(settings, cluster.registry);
  const fast = slowBecause === null;
  return {
    crash_ms: (fast ? askMs : failoverMs) + electionMs,
    silence_ms: failoverMs + askMs / 2 + electionMs,
    failover_time_ms: failoverMs,
    fast_failover: fast,
    slow_because: slowBecause,
    fencing_command_ms: settings.fencingCommand === '' ? 0 : settings.commandTimeoutMs,
    replay_bytes: Number(look.observation.received - look.observation.replayed),
  };
}

/** With two voters a refused connection may be a cut link, so the core waits there. */
function slowness(settings: Settings, registry: Registry): string | null {
  if (!settings.fastFailover) return 'fast_failover is off';
  return registry.voters.length === 2 ? 'there are only two voters' : null;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

export function outageLines(outage: Outage): readonly string[] {
  const failover = formatDuration(outage.failover_time_ms);
  const lines = [
    outage.fast_failover
      ? `server crashes, its host lives: noticed at once; writes again within ${seconds(outage.crash_ms)} on a healthy network, usually much sooner`
      : `server crashes: treated like silence, since ${outage.slow_because}; writes again within ${seconds(outage.crash_ms)}`,
    `host lost, frozen or cut off: acted upon T = ${failover} after its last sign of life; writes again within ${seconds(outage.silence_ms)}`,
  ];
  if (outage.fencing_command_ms > 0)
    lines.push(`plus fencing_command, at most ${formatDuration(outage.fencing_command_ms)}`);
  if (outage.replay_bytes > 0)
    lines.push(`plus the replay of ${formatBytes(outage.replay_bytes)} that is received but not yet applied`);
  return lines;
}
