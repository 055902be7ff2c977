/** What operators do meanwhile: nodes added and removed, the wish for synchronous replication changed, priorities set. */
import { isInMaintenance, openRequest, pauseOf } from '../../src/core/plan.js';
import type { Registry } from '../../src/core/types.js';
import { type Cluster, type Topology, voterOf, witnessOf } from './cluster.js';
import type { Fault } from './fault-plan.js';
import { withMaintenance, withOpenRequest, withPause, withPriority } from './planned-work-model.js';
import type { Random } from './random.js';
import type { Server } from './server.js';
import { shapedRow } from './shapes.js';
import { forgetOriginal } from './witness-faults.js';

export interface OperatorPlan {
  readonly at: number;
  readonly kind:
    | 'del-node'
    | 'add-node'
    | 'change-wish'
    | 'alter-names'
    | 'del-witness'
    | 'add-witness'
    | 'switchover'
    | 'switchover-to'
    | 'pause'
    | 'resume'
    | 'maintenance'
    | 'end-maintenance'
    | 'priority';
  readonly node: number;
  readonly wish: string;
}

export function planOperators(
  random: Random,
  topology: Topology,
  faults: readonly Fault[],
  until: number,
  kinds?: readonly OperatorPlan['kind'][],
): readonly OperatorPlan[] {
  const plans: OperatorPlan[] = [];
  if (kinds === undefined && random.chance(0.5)) return plans;
  const names = Array.from({ length: topology.nodes }, (_, i) => `n${i + 1}`);
  const wishes = [
    '',
    `ANY 1 (${names.join(', ')})`,
    `FIRST 1 (${names.join(', ')})`,
    'n2, n3',
    `ANY 1 (${names[0]}, n2)`,
  ];
  if (topology.nodes > 3) wishes.push(`ANY 2 (${names.join(', ')})`);
  const usual: OperatorPlan['kind'][] = ['del-node', 'add-node', 'add-node', 'change-wish', 'change-wish'];
  if (topology.witnesses > 0) usual.push('del-witness', 'add-witness', 'add-witness');
  usual.push(
    'switchover',
    'switchover',
    'switchover-to',
    'switchover-to',
    'maintenance',
    'end-maintenance',
    'priority',
  );
  if (random.chance(0.5)) usual.push('pause', 'pause', 'resume');
  const count = kinds === undefined ? random.integer(1, 4) : 12;
  for (let i = 0; i < count; i++) {
    plans.push({
      at: Math.round(
        faults.length > 0 && random.chance(0.6)
          ? random.pick(faults).at + random.between(-5000, 20_000)
          : random.between(15_000, until),
      ),
      kind: random.pick(kinds ?? usual),
      node: random.integer(0, topology.nodes - 1),
      wish: random.pick(wishes),
    });
  }
  return plans;
}

export function scheduleOperators(cluster: Cluster, plans: readonly OperatorPlan[]): void {
  for (const plan of plans) cluster.world.at(plan.at, () => perform(cluster, plan));
}

const plannedWork: ReadonlySet<OperatorPlan['kind']> = new Set<OperatorPlan['kind']>([
  'switchover',
  'switchover-to',
  'pause',
  'resume',
  'maintenance',
  'end-maintenance',
  'priority',
]);

function perform(cluster: Cluster, plan: OperatorPlan): void {
  const host = cluster.hosts[plan.node];
  const master = cluster.writable[0];
  if (host === undefined) return;
  // Nothing new is planned when all is to come to rest.
  if (cluster.healed && plannedWork.has(plan.kind)) return;
  if (plan.kind === 'resume') return resume(cluster);
  if (master === undefined) return;
  cluster.hurry(20_000);
  cluster.watchClosely(5000);
  cluster.world.say('operator', `${plan.kind} ${host.name} '${plan.wish}' (master ${master.name})`);
  switch (plan.kind) {
    case 'del-node':
      changeNodes(master.server, (row) =>
        row.nodes.filter(({ kind }) => kind === 'node').length <=
          (cluster.topology.settings.quorum === 'auto' ? 3 : 2) ||
        host === master ||
        !row.nodes.some((node) => node.name === host.name)
          ? null
          : { ...row, nodes: row.nodes.filter((node) => node.name !== host.name) },
      );
      return;
    case 'add-node':
      addNode(cluster, plan.node);
      return;
    case 'del-witness':
      delWitness(cluster, plan.node);
      return;
    case 'add-witness':
      addWitness(cluster, plan.node);
      return;
    case 'change-wish':
      // The same file on every server, then a reload, as people do it.
      for (const each of cluster.hosts) {
        each.server.alterSystem({ userNames: plan.wish });
        if (each.server.life === 'up') each.server.reload();
      }
      return;
    case 'switchover':
    case 'switchover-to':
      cluster.requests += 1;
      changeNodes(master.server, (row) => {
        const target = plan.kind === 'switchover' ? null : host.name;
        if (openRequest(row) !== null || target === row.master || row.master !== master.name) return null;
        const { epoch } = row;
        const request = { id: cluster.requests, kind: 'switchover', target, state: 'asked', epoch } as const;
        return withOpenRequest(row, request);
      });
      return;
    case 'pause':
      changeNodes(master.server, (row) => withPause(row, 'on'));
      return;
    case 'maintenance':
    case 'end-maintenance':
      changeNodes(master.server, (row) =>
        row.master === host.name ? null : withMaintenance(row, host.name, plan.kind === 'maintenance'),
      );
      return;
    case 'priority':
      changeNodes(master.server, (row) => withPriority(row, host.name, plan.wish === '' ? null : 50));
      return;
    case 'alter-names':
      master.server.alterSystem({ autoNames: plan.wish });
      master.server.reload();
      return;
  }
}

/**
 * resume() on the master, whose worker ends the pause once it has its votes. Without a master that takes writes, on every standby; an operator
 * who does that has made sure that no former master runs.
 */
export function resume(cluster: Cluster): void {
  const [master] = cluster.writable;
  if (master !== undefined) {
    for (const { server } of cluster.hosts) server.overruled = false;
    changeNodes(master.server, (row) => (pauseOf(row) === 'on' ? withPause(row, 'ending') : null));
    return;
  }
  for (const { server } of cluster.hosts) if (server.life === 'up' && !server.frozen) server.overruled = true;
}

/** What was planned is over when all is to be whole again. */
export function endPlannedWork(cluster: Cluster): void {
  resume(cluster);
  for (const host of cluster.hosts) {
    const { server } = host;
    // What people stopped, a master that was left to them in the pause, a node in its maintenance: they start it.
    const isLeft =
      (server.cleanShutdown && host.state === 'unreachable') ||
      isInMaintenance(server.row, host.name) ||
      (pauseOf(server.row) !== null && server.row?.master === host.name);
    const isDown = server.life === 'down' && host.powered && host.worker !== null;
    if (isLeft && isDown && cluster.writable.length === 0) server.start();
    if (!server.writable) continue;
    changeNodes(host.server, (row) =>
      row.nodes.some(({ maintenance }) => maintenance)
        ? row.nodes.reduce((changed, { name }) => withMaintenance(changed, name, false), row)
        : null,
    );
  }
}

/** add_node is refused unless the node streams from the master under its name. */
function addNode(cluster: Cluster, place: number): void {
  const host = cluster.hosts[place];
  const master = cluster.writable[0];
  if (host === undefined || master === undefined || host === master) return;
  const streams = master.server.senders.some((sender) => sender.name === host.name);
  if (!streams) return;
  changeNodes(master.server, (row) =>
    row.nodes.some((node) => node.name === host.name)
      ? null
      : { ...row, nodes: [...row.nodes, voterOf(host.name, 'node', 50 + place)] },
  );
}

/** With two nodes and no other witness the loss of one node would be an outage: who removes it means to replace it. */
function delWitness(cluster: Cluster, place: number): void {
  const master = cluster.writable[0];
  const witness = cluster.witnesses[place % Math.max(1, cluster.witnesses.length)];
  if (master === undefined || witness === undefined) return;
  changeNodes(master.server, (row) => {
    const nodes = row.nodes.filter(({ name }) => name !== witness.name);
    const pair = row.nodes.filter(({ kind }) => kind === 'node').length === 2;
    return nodes.length === row.nodes.length || pair ? null : { ...row, nodes };
  });
}

/** Also for a witness that was replaced by another server: removed and added again in one go. */
export function addWitness(cluster: Cluster, place: number): void {
  const master = cluster.writable[0];
  const witness = cluster.witnesses[place % Math.max(1, cluster.witnesses.length)];
  if (master === undefined || witness === undefined || witness.life !== 'up') return;
  if (!cluster.network.connected(master, witness.machine)) return;
  cluster.added += 1;
  forgetOriginal(witness);
  const fresh = witnessOf(witness, 1000 + cluster.added);
  changeNodes(master.server, (row) =>
    row.nodes.filter(({ kind }) => kind === 'node').length < 2
      ? null
      : { ...row, nodes: [...row.nodes.filter(({ name }) => name !== witness.name), fresh] },
  );
}

/** add_node and del_node as an operator runs them on the master: the wish only, locally committed. */
function changeNodes(server: Server, change: (row: Registry) => Registry | null): boolean {
  const row = server.row;
  if (!server.writable || row === null) return false;
  const next = change(row);
  if (next === null) return false;
  server.writeRow(shapedRow({ ...next, version: row.version + 1 }));
  return true;
}
