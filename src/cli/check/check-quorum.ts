/** Workers, witnesses, votes, and whether an election now would succeed. Pure: a look at the cluster in, findings out. */
import { isForeign } from '../../core/foreign-server.js';
import { pauseOf, priorityOf } from '../../core/plan.js';
import { compareRegistry } from '../../core/types.js';
import { areTwoNodes } from '../../core/votes/two-nodes.js';
import type { Neighbours } from '../../postgres/witness.js';
import { answered, type ClusterLook, workerStateOf } from '../cluster-look.js';
import { forecastOf } from '../forecast.js';
import { mixedQuorum } from '../quorum-look.js';
import { statusOf } from '../status.js';
import { about, type Finding } from './finding.js';

export function findingsOfQuorum(cluster: ClusterLook): readonly Finding[] {
  return [
    ...workerFindings(cluster),
    ...plannedFindings(cluster),
    ...witnessFindings(cluster),
    ...quorumFindings(cluster),
    ...forecastFindings(cluster),
  ];
}

function workerFindings(cluster: ClusterLook): readonly Finding[] {
  const found: Finding[] = [];
  for (const node of cluster.nodes) {
    const look = answered(node);
    if (look === null || node.voter.kind !== 'node') continue;
    const { name } = node.voter;
    const state = workerStateOf(cluster, name);
    if (state === null)
      found.push(
        about(
          'problem',
          name,
          'worker',
          look.observation.inRecovery
            ? 'no worker runs beside it, so it cannot be promoted'
            : 'no worker runs beside it, so nobody keeps or fences this master',
          `on its host: pgkeeper worker (or systemctl start pgkeeper)`,
        ),
      );
    else if (look.observation.fenced)
      found.push(about('warning', name, 'state', `is fenced (${state}): it waits to follow a master`, null));
    else found.push(about('ok', name, 'worker', `its worker says ${state}`));
    if (!cluster.registry.voters.some((voter) => voter.name === name))
      found.push(
        about(
          'warning',
          name,
          'votes',
          "is registered but has no vote yet: the master's worker adds it when it streams",
          null,
        ),
      );
    if (priorityOf(cluster.registry, name, look.observation.priority) === 0)
      found.push(about('warning', name, 'priority', 'has priority 0: it votes, but is never promoted', null));
  }
  return found;
}

/** What was planned and not ended yet. */
function plannedFindings({ registry }: ClusterLook): readonly Finding[] {
  const found: Finding[] = [];
  if (pauseOf(registry) !== null)
    found.push(
      about(
        'problem',
        null,
        'pause',
        'the cluster is paused: nobody is promoted or fenced by itself',
        'when the work is done: pgkeeper resume',
      ),
    );
  for (const { name, maintenance } of registry.nodes) {
    if (maintenance === true)
      found.push(
        about(
          'warning',
          name,
          'maintenance',
          'is in maintenance: no candidate, its server is left as it is',
          `when the work is done: pgkeeper maintenance ${name} off`,
        ),
      );
  }
  return found;
}

/** Is each witness the server that was added, and does it keep the present row? */
function witnessFindings(cluster: ClusterLook): readonly Finding[] {
  const { registry } = cluster;
  return cluster.nodes.flatMap((node) => {
    const look = answered(node);
    const { name, kind } = node.voter;
    if (kind !== 'witness' || look === null) return [];
    const { observation } = look;
    if (isForeign(registry, node.voter, observation))
      return [
        about(
          'problem',
          name,
          'witness',
          `another server answers in its place (timeline ${observation.timeline}, address ${observation.address || 'a local socket'}): its vote is void`,
          `on the master: pgkeeper add-witness under another name, then pgkeeper del-witness ${name}`,
        ),
      ];
    if (!registry.voters.some((voter) => voter.name === name))
      return [
        about(
          'warning',
          name,
          'votes',
          "is registered but has no vote yet: the master's worker adds it",
          null,
        ),
      ];
    const kept = observation.registry;
    const row = kept === null ? 'nothing yet' : `row ${kept.epoch}.${kept.version} of the registry`;
    const isPresent = kept !== null && compareRegistry(kept, registry) >= 0;
    return [
      ...neighbourFindings(cluster, name, look.neighbours),
      isPresent
        ? about('ok', name, 'witness', `lends its vote and keeps ${row}`)
        : about(
            'warning',
            name,
            'witness',
            `keeps ${row}; ${registry.epoch}.${registry.version} is the newest`,
            null,
          ),
    ];
  });
}

/** A copy of this cluster takes the lock from it; another cluster with the same role can read this one's conninfos. */
function neighbourFindings(
  { registry }: ClusterLook,
  witness: string,
  neighbours: Neighbours | undefined,
): readonly Finding[] {
  const found: Finding[] = [];
  const strangers = (neighbours?.workers ?? []).filter(
    ({ name, places }) => places > 1 || !registry.nodes.some((node) => node.name === name),
  );
  if (strangers.length > 0) {
    const who = strangers.map(({ name, places }) => (places > 1 ? `${name} from ${places} addresses` : name));
    const said = `workers that are not of this cluster use it under the same system identifier (${who.join(', ')}): of a copy of this cluster, which takes its lock, or of a node that was removed`;
    const mend = `where a removed node was: systemctl disable --now pgkeeper; a copy needs a witness of its own: on its master pgkeeper del-witness ${witness}`;
    found.push(about('warning', witness, 'witness', said, mend));
  }
  const clusters = neighbours?.clusters ?? 0;
  if (clusters > 0)
    found.push(
      about(
        'warning',
        witness,
        'witness',
        `the role and database of its conninfo are shared with ${clusters} other ${clusters === 1 ? 'cluster' : 'clusters'}: each can read the conninfos of the other, passwords included`,
        'on the witness: a database and a role for each cluster, then del-witness and add-witness',
      ),
    );
  return found;
}

function quorumFindings(cluster: ClusterLook): readonly Finding[] {
  const { quorum, sync, master } = statusOf(cluster);
  const { voters } = cluster.registry;
  const mixed = mixedQuorum(cluster);
  const found: Finding[] =
    mixed === null
      ? []
      : [about('problem', null, 'quorum', mixed, 'give every node the same pg_keeper.quorum, and reload')];
  if (voters.length === 1)
    found.push(
      about(
        'problem',
        null,
        'quorum',
        'there is one voter only: nobody could take over',
        'register its standbys: pgkeeper add-node NAME CONNINFO',
      ),
    );
  if (areTwoNodes(voters) && mixed === null)
    found.push(
      quorum.needed === 2
        ? about(
            'problem',
            null,
            'quorum',
            'two nodes without a witness and quorum = strict: with one lost there is no majority, so no failover',
            'add a third node or a witness',
          )
        : about(
            'warning',
            null,
            'quorum',
            'two nodes without a witness: no majority is possible, so a split network can give two masters',
            'add a third node or a witness, and set fencing_command until then',
          ),
    );
  if (voters.length > 2 && voters.length % 2 === 0)
    found.push(
      about(
        'warning',
        null,
        'quorum',
        `${voters.length} voters bear the loss of ${voters.length - quorum.needed}, no more than ${voters.length - 1} would`,
        'an odd number is better: add a witness, or take one away',
      ),
    );
  if (voters.length === 2 && voters.some((voter) => voter.kind === 'witness'))
    found.push(
      about(
        'problem',
        null,
        'quorum',
        'one node and a witness: if the witness is lost, the node stops taking writes, and nobody could take over from it',
        'register a standby: pgkeeper add-node NAME CONNINFO; or remove the witness',
      ),
    );
  if (quorum.held < quorum.needed && workerStateOf(cluster, master ?? '') !== null)
    found.push(
      about(
        'problem',
        null,
        'lease',
        `${master ?? 'the master'} holds ${quorum.held} of ${quorum.voters} votes, ${quorum.needed} are needed`,
        'see the log of its worker',
      ),
    );
  else if (quorum.held >= quorum.needed)
    found.push(
      about(
        'ok',
        null,
        'lease',
        `${master} holds ${quorum.held} of ${quorum.voters} votes, ${quorum.needed} needed`,
      ),
    );
  if (sync === 'degraded')
    found.push(
      about(
        'problem',
        null,
        'sync',
        'synchronous replication is wished but degraded: a master lost now cannot be replaced without losing commits',
        'bring a standby that synchronous_standby_names names back',
      ),
    );
  return found;
}

/** Whatever would block an election now and is not named yet. */
function forecastFindings(cluster: ClusterLook): readonly Finding[] {
  const forecast = forecastOf(cluster);
  if (forecast.blocked_by.length === 0)
    return [
      about(
        'ok',
        null,
        'failover',
        `${forecast.would_promote} would be promoted if ${forecast.master} failed now`,
      ),
    ];
  return [
    about(
      'problem',
      null,
      'failover',
      `a failover now would be blocked: ${forecast.blocked_by.join('; ')}`,
      forecast.way_out ?? 'pgkeeper explain says more',
    ),
  ];
}
