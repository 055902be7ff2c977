/** What `pgkeeper status` warns of, below its table. */
import { isForeign } from '../core/foreign-server.js';
import { openRequest, pauseOf } from '../core/plan.js';
import type { Registry } from '../core/types.js';
import { answered, type ClusterLook, strangerText, syncOf } from './cluster-look.js';
import { neverPromoted } from './never-promoted.js';
import { twoNodesText } from './quorum-look.js';
import type { NodeStatus } from './status.js';

export function warningsOf(cluster: ClusterLook, nodes: readonly NodeStatus[]): readonly string[] {
  const { registry } = cluster;
  const stranger = strangerText(cluster);
  const warnings: string[] = stranger === null ? [] : [stranger];
  const writable = nodes.filter((node) => node.reachable && node.role === 'master');
  for (const node of writable) {
    if (node.name !== registry.master)
      warnings.push(
        `${node.name} is writable, but ${registry.master} is the master of epoch ${registry.epoch}`,
      );
  }
  for (const node of nodes) {
    if (!node.reachable) warnings.push(`${node.name} cannot be reached from here: ${node.error}`);
    else if (!node.worker && node.role !== 'witness') warnings.push(`${node.name} has no running worker`);
  }
  warnings.push(...strayWarnings(cluster, nodes));
  if (!writable.some((node) => node.name === registry.master))
    for (const node of nodes)
      if (node.role === 'standby' && node.reachable) warnings.push(heardText(node, registry));
  for (const { voter, look } of cluster.nodes)
    if (voter.kind === 'witness' && look.kind === 'answered' && isForeign(registry, voter, look.observation))
      warnings.push(`another server answers in the place of witness ${voter.name}: its vote is void`);
  const registeredOnly = registry.nodes.filter(
    (node) => !registry.voters.some((voter) => voter.name === node.name),
  );
  for (const node of registeredOnly) warnings.push(`${node.name} is registered but has no vote yet`);
  const ofTwoNodes = twoNodesText(cluster);
  if (ofTwoNodes !== null) warnings.push(ofTwoNodes);
  const never = neverPromoted(cluster);
  if (never !== null) warnings.push(`${never.text}; ${never.mend}`);
  const pause = pauseOf(registry);
  if (pause !== null)
    warnings.push(
      pause === 'on'
        ? 'the cluster is paused: nobody is promoted or fenced by itself until pgkeeper resume'
        : "the cluster is paused until the master's worker holds its votes: pgkeeper resume was asked for",
    );
  for (const { name, maintenance } of registry.nodes)
    if (maintenance === true) warnings.push(`${name} is in maintenance: no candidate`);
  const request = openRequest(registry);
  if (request !== null)
    warnings.push(
      `${request.kind} to ${request.target ?? 'the best node'} is ${request.state} (request ${request.id})`,
    );
  if (syncOf(registry) === 'degraded')
    warnings.push('synchronous replication is wished, but no wished standby is there');
  return warnings;
}

/** Standbys that answer and that the master sends nothing to: what it says of them, so only where it answers. */
function strayWarnings(
  { registry, nodes: looks }: ClusterLook,
  nodes: readonly NodeStatus[],
): readonly string[] {
  const master = answered(looks.find(({ voter }) => voter.name === registry.master));
  if (master === null || master.observation.inRecovery) return [];
  const streaming = master.observation.replication.filter(({ state }) => state === 'streaming');
  return nodes
    .filter(
      ({ name, role, reachable }) =>
        role === 'standby' && reachable && !streaming.some((row) => row.name === name),
    )
    .map(
      ({ name }) =>
        `${name} does not stream from ${registry.master}: its server's log and pgkeeper check say why`,
    );
}

/** An isolated standby: what it has may be that old. */
function heardText(node: NodeStatus, registry: Registry): string {
  const master = registry.master === node.name ? 'any master' : `its master ${registry.master}`;
  return node.heard_of_master === null
    ? `${node.name} has heard nothing of ${master} since it was started`
    : `the newest that ${node.name} has of ${master} is ${ageOf(node.heard_of_master)} old`;
}

/** '3 min', '2 h': how long ago. */
export function ageOf(since: string): string {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(since)) / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} d`;
}
