/** By which quorum the workers act. Each goes by its own setting, so it is asked for one node. Pure. */
import { areTwoNodes, twoNodesWarning } from '../core/votes/two-nodes.js';
import { answered, type ClusterLook, type NodeLook } from './cluster-look.js';

type Quorum = 'auto' | 'strict';

/** Of the worker of `name`; of one that does not show its setting, or of nobody, strict where any node is. As neededVotes in the core. */
export function quorumOf(cluster: ClusterLook, name: string | null): Quorum {
  if (cluster.registry.nodes.some(({ kind }) => kind === 'witness')) return 'strict';
  const own = cluster.nodes.find(({ voter, look }) => voter.name === name && look.kind === 'answered');
  return (own === undefined ? cluster.nodes : [own]).some(isStrict) ? 'strict' : 'auto';
}

function isStrict(node: NodeLook): boolean {
  return answered(node)?.keeperSettings['quorum'] === 'strict';
}

/** Null where every node that answers has the same. */
export function mixedQuorum(cluster: ClusterLook): string | null {
  const answering = cluster.nodes.filter((node) => node.voter.kind === 'node' && answered(node) !== null);
  const strict = answering.filter(isStrict);
  if (strict.length === 0 || strict.length === answering.length) return null;
  const names = (nodes: readonly NodeLook[]) => nodes.map(({ voter }) => voter.name).join(', ');
  const auto = names(answering.filter((node) => !strict.includes(node)));
  return `quorum is strict on ${names(strict)} and auto on ${auto}, and each goes by its own: with two nodes, ${auto} may be master without a majority`;
}

/** What is to be known of two nodes without a witness. Null = there is a third voter. */
export function twoNodesText(cluster: ClusterLook): string | null {
  const { voters, master } = cluster.registry;
  if (!areTwoNodes(voters)) return null;
  const mixed = mixedQuorum(cluster);
  return mixed === null
    ? twoNodesWarning(voters, quorumOf(cluster, master))
    : `${mixed}, and the other not; give both the same pg_keeper.quorum, and add a third node or a witness`;
}
