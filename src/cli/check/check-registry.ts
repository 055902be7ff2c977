/** Does node_info say the same as the row by which the workers decide? It does not after an edit that its trigger did not see or let through. Pure. */
import type { ClusterLook } from '../cluster-look.js';
import { about, type Finding } from './finding.js';

const edit = 'SET pg_keeper.edit_node_info = on;';

export function registryFindings({ registry, registered }: ClusterLook): readonly Finding[] {
  const { master } = registry;
  const nodes = registry.nodes.filter(({ kind }) => kind === 'node');
  const found: Finding[] = [];
  const wrong = registered.filter((row) => row.is_master !== (row.name === master));
  if (wrong.length > 0) {
    const marked = registered.filter((row) => row.is_master).map(({ name }) => name);
    const quoted = `'${(master ?? '').replaceAll("'", "''")}'`;
    found.push(
      about(
        'problem',
        null,
        'registry',
        `pgkeeper.node_info has is_master at ${marked.join(', ') || 'no node'}, but the master of epoch ${registry.epoch} is ${master ?? 'nobody'}: functions and views that read it are misled`,
        `on the master: ${edit} UPDATE pgkeeper.node_info SET is_master = false WHERE is_master AND name <> ${quoted}; UPDATE pgkeeper.node_info SET is_master = true WHERE name = ${quoted};`,
      ),
    );
  }
  if (master !== null && !registered.some(({ name }) => name === master))
    found.push(
      about(
        'problem',
        master,
        'registry',
        'is the master, and is not in pgkeeper.node_info',
        `on the master, with a conninfo that leads to it: ${edit} INSERT INTO pgkeeper.node_info (name, conninfo, is_master) VALUES (...);`,
      ),
    );
  const has = (
    list: readonly { readonly name: string; readonly seqno: number }[],
    name: string,
    seqno: number,
  ) => list.some((one) => one.name === name && one.seqno === seqno);
  const unknown = registered.filter(({ name, seqno }) => !has(nodes, name, seqno)).map(({ name }) => name);
  const stale = nodes.filter(({ name, seqno }) => !has(registered, name, seqno)).map(({ name }) => name);
  const parts = [
    ...(unknown.length === 0 ? [] : [`${unknown.join(', ')} in node_info only`]),
    ...(stale.length === 0 ? [] : [`${stale.join(', ')} in cluster_state only`]),
  ];
  if (parts.length > 0)
    found.push(
      about(
        'problem',
        null,
        'registry',
        `the workers go by the copy of node_info in cluster_state, and the two differ: ${parts.join('; ')}`,
        'on the master, once the rows of pgkeeper.node_info are right: UPDATE pgkeeper.cluster_state SET nodes = pgkeeper.registry_json();',
      ),
    );
  return found.length > 0
    ? found
    : [about('ok', null, 'registry', 'pgkeeper.node_info says what the workers go by')];
}
