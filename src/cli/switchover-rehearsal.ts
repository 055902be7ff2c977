/** `pgkeeper switchover --dry-run`: every check the master's worker would make, from looks of this command. Changes nothing. */

import { type SwitchoverCheck, switchoverChecks } from '../core/handover/switchover-checks.js';
import { openRequest, pauseOf, priorityOf } from '../core/plan.js';
import type { Registry } from '../core/types.js';
import { loadSettings } from '../settings/load.js';
import { lookAtPools } from './check/check-pools.js';
import { answered, type ClusterLook, heldByMaster, lookAtCluster, workerStateOf } from './cluster-look.js';
import { conninfoOf } from './connection-options.js';
import { CommandFailure, type ExitCode, exitCodes } from './exit-codes.js';
import { print, printJson } from './output.js';
import { quorumOf } from './quorum-look.js';
import { withSession } from './session.js';
import { loadRequestOf } from './settings-options.js';
import type { SwitchoverOptions } from './switchover.js';
import { unknownNode } from './unknown-node.js';

interface Rehearsal {
  readonly target: string | null;
  readonly would_be_done: boolean;
  readonly checks: readonly (SwitchoverCheck & { readonly node: string | null })[];
}

export async function rehearse(target: string | null, options: SwitchoverOptions): Promise<ExitCode> {
  const cluster = await withSession(conninfoOf(options), lookAtCluster);
  if (cluster === null)
    throw new CommandFailure(exitCodes.refused, 'no node is registered', [
      'On the master: pgkeeper add-node NAME CONNINFO',
    ]);
  if (target !== null) refuseTarget(cluster.registry, target);
  const pools = await lookAtPools(await loadSettings(loadRequestOf(options)));
  const judged = rehearsalOf(cluster, target);
  const result: Rehearsal = {
    ...judged,
    would_be_done: judged.would_be_done && pools.every(({ ok }) => ok),
    checks: [...judged.checks, ...pools.map((look) => ({ ...look, node: null }))],
  };
  if (options.json === true) printJson(result);
  else {
    for (const { node, ok, text } of result.checks)
      print(`${ok ? 'ok  ' : 'NOT '} ${node === null ? '' : `[${node}] `}${text}`);
    print(result.would_be_done ? `would hand over to ${result.target}` : 'would be refused');
  }
  return result.would_be_done ? exitCodes.done : exitCodes.refused;
}

/** As the function itself does. */
function refuseTarget(registry: Registry, target: string): void {
  if (!registry.nodes.some(({ kind, name }) => kind === 'node' && name === target))
    throw unknownNode(registry, target);
  if (registry.master === target)
    throw new CommandFailure(exitCodes.usage, `${target} is the master already`, [
      'Name a standby, or nobody: then the best one is taken.',
    ]);
}

export function rehearsalOf(cluster: ClusterLook, target: string | null): Rehearsal {
  const { registry } = cluster;
  const masterNode = cluster.nodes.find(({ voter }) => voter.name === registry.master);
  const master = answered(masterNode)?.observation;
  const general = (ok: boolean, good: string, bad: string) => ({ node: null, ok, text: ok ? good : bad });
  const request = openRequest(registry);
  const writable = master !== undefined && !master.inRecovery;
  const checks: Rehearsal['checks'][number][] = [
    general(
      writable,
      `${registry.master} is master`,
      `${registry.master ?? 'the master'} does not answer as master`,
    ),
    general(
      registry.master !== null && workerStateOf(cluster, registry.master) !== null,
      'its worker is seen',
      'no worker is seen beside the master',
    ),
    general(
      request === null,
      'no other request is open',
      `request ${request?.id ?? ''} is ${request?.state ?? ''}`,
    ),
    general(
      target !== null || pauseOf(registry) === null,
      pauseOf(registry) === null
        ? 'the cluster is not paused'
        : 'the target is named, though the cluster is paused',
      'the cluster is paused, so no target is chosen by itself',
    ),
  ];
  const isReady = checks.every(({ ok }) => ok);
  if (!writable) return { target, would_be_done: false, checks };
  const names =
    target === null
      ? registry.nodes
          .filter(({ kind, name }) => kind === 'node' && name !== registry.master)
          .map(({ name }) => name)
      : [target];
  const held = heldByMaster(cluster);
  const able: string[] = [];
  for (const name of names) {
    const look = answered(cluster.nodes.find(({ voter }) => voter.name === name));
    const found = switchoverChecks({
      registry,
      target: name,
      master,
      standby: look?.observation ?? null,
      workerSeen: workerStateOf(cluster, name) !== null,
      held,
      quorum: quorumOf(cluster, registry.master),
    });
    checks.push(...found.map((check) => ({ ...check, node: name })));
    if (found.every(({ ok }) => ok)) able.push(name);
  }
  const chosen = isReady ? bestOf(cluster, able) : null;
  return { target: chosen ?? target, would_be_done: chosen !== null, checks };
}

/** As the worker chooses: members of R, priority, seqno. */
function bestOf({ registry, nodes }: ClusterLook, names: readonly string[]): string | null {
  const rankOf = (name: string) => {
    const node = nodes.find(({ voter }) => voter.name === name);
    const setting = answered(node)?.observation.priority ?? 0;
    return {
      inSet: Number(registry.syncMembers.includes(name)),
      priority: priorityOf(registry, name, setting),
      seqno: node?.voter.seqno ?? 0,
    };
  };
  const sorted = [...names].sort((a, b) => {
    const [one, two] = [rankOf(a), rankOf(b)];
    return two.inSet - one.inSet || two.priority - one.priority || one.seqno - two.seqno;
  });
  return sorted[0] ?? null;
}
