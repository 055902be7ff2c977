/** What operators do meanwhile: nodes added and removed, the wish for synchronous replication changed, priorities set. */
import type { Registry } from '../../src/core/types.js';
import { type Cluster, type Topology, voterOf, witnessOf } from './cluster.js';
import type { Fault } from './fault-plan.js';
import type { Random } from './random.js';
import type { Server } from './server.js';
import { forgetOriginal } from './witness-faults.js';

export interface OperatorPlan {
  readonly at: number;
  readonly kind: 'del-node' | 'add-node' | 'change-wish' | 'alter-names' | 'del-witness' | 'add-witness';
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

function perform(cluster: Cluster, plan: OperatorPlan): void {
  const host = cluster.hosts[plan.node];
  const master = cluster.writable[0];
  if (host === undefined || master === undefined) return;
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
    case 'alter-names':
      master.server.alterSystem({ autoNames: plan.wish });
      master.server.reload();
      return;
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
  server.writeRow({ ...next, version: row.version + 1 });
  return true;
}
