/** What must fit between the servers of a cluster: order of limits, settings, reachability, votes. Pure: looks and facts in, findings out. */
import { formatDuration } from '../../core/duration.js';
import { answered, type ClusterLook, settingsOfNode } from '../cluster-look.js';
import { failureText } from '../failure-text.js';
import type { Reach, ServerFacts } from './check-facts.js';
import { findingsOfQuorum } from './check-quorum.js';
import { registryFindings } from './check-registry.js';
import { slotFindings } from './check-slots.js';
import { about, type Finding } from './finding.js';

export function findingsOfCluster(
  cluster: ClusterLook,
  facts: readonly ServerFacts[],
  reach: readonly Reach[],
): readonly Finding[] {
  return [
    ...silentFindings(cluster, reach),
    ...limitFindings(facts),
    ...versionFindings(facts),
    ...streamingFindings(cluster, facts),
    ...nameFindings(cluster),
    ...timeFindings(cluster),
    ...clockFindings(cluster),
    ...reachFindings(cluster, reach),
    ...slotFindings(cluster, facts),
    ...registryFindings(cluster),
    ...findingsOfQuorum(cluster),
  ];
}

/** Peers that reach a server which this host does not make it a matter of this host alone. */
function silentFindings(cluster: ClusterLook, reach: readonly Reach[]): readonly Finding[] {
  return cluster.nodes.flatMap(({ voter, look }) => {
    if (look.kind === 'answered') return [];
    const asked = reach.filter((one) => one.to === voter.name);
    const reaching = asked.filter((one) => one.reached).map((one) => one.from);
    if (reaching.length > 0 && reaching.length === asked.length) {
      const text = `cannot be reached from here (${failureText(look.failure)}), but ${reaching.join(', ')} can`;
      return [about('warning', voter.name, 'reachability', text, 'run pgkeeper check on its own host too')];
    }
    const nor =
      asked.length === 0
        ? ''
        : `, nor from ${asked
            .filter((one) => !one.reached)
            .map((one) => one.from)
            .join(', ')}`;
    return [
      about(
        'problem',
        voter.name,
        'reachability',
        `cannot be reached from here${nor}: ${failureText(look.failure)}`,
        look.failure.kind === 'auth'
          ? `that server runs, and takes neither that user nor password: correct user and password in its conninfo in pgkeeper.${voter.kind}_info (docs/operations.md, "Changing a password or an address"), or pg_hba.conf there`
          : `start that server, if it is down; if it has moved, its conninfo in pgkeeper.${voter.kind}_info must lead there`,
      ),
    ];
  });
}

/** A standby does not start, or stops replaying, with less than its master has. */
const limits = [
  'max_connections',
  'max_worker_processes',
  'max_wal_senders',
  'max_prepared_transactions',
  'max_locks_per_transaction',
] as const;

function limitFindings(facts: readonly ServerFacts[]): readonly Finding[] {
  const master = facts.find((one) => !one.inRecovery);
  if (master === undefined) return [];
  const found: Finding[] = [];
  for (const standby of facts.filter((one) => one.inRecovery)) {
    for (const name of limits) {
      const theirs = Number(standby.settings[name]?.value);
      const ours = Number(master.settings[name]?.value);
      if (theirs < ours)
        found.push(
          about(
            'problem',
            standby.name,
            name,
            `${name} is ${theirs} here and ${ours} on ${master.name}: a standby must have at least as much as its master`,
            `on ${standby.name}: ALTER SYSTEM SET ${name} = ${ours}; then restart it`,
          ),
        );
      if (theirs > ours)
        found.push(
          about(
            'warning',
            standby.name,
            name,
            `${name} is ${theirs} here and ${ours} on ${master.name}: after a failover to ${standby.name}, ${master.name} could not come back as its standby`,
            `on ${master.name}: ALTER SYSTEM SET ${name} = ${theirs}; then restart it, the standbys first`,
          ),
        );
    }
  }
  return found.length > 0 || facts.length < 2
    ? found
    : [about('ok', null, 'limits', 'every standby has the limits of the master')];
}

function versionFindings(facts: readonly ServerFacts[]): readonly Finding[] {
  const versions = [...new Set(facts.map((one) => one.versionNum))];
  if (versions.length < 2) return [];
  const list = facts.map((one) => `${one.name} ${one.version}`).join(', ');
  return [
    about(
      'warning',
      null,
      'version',
      `the servers have different versions: ${list}`,
      'install the same minor version everywhere',
    ),
  ];
}

/** One stream per name, and each standby streams from the present master. */
function streamingFindings(cluster: ClusterLook, facts: readonly ServerFacts[]): readonly Finding[] {
  const master = facts.find((one) => one.name === cluster.registry.master && !one.inRecovery);
  if (master === undefined) return [];
  const found: Finding[] = [];
  for (const { voter, look } of cluster.nodes) {
    if (voter.kind !== 'node' || voter.name === master.name || look.kind === 'silent') continue;
    const rows = master.streaming.filter((row) => row.name === voter.name);
    if (rows.length > 1)
      found.push(
        about(
          'problem',
          voter.name,
          'application_name',
          `${rows.length} servers stream from ${master.name} as "${voter.name}"`,
          'give each standby an application_name of its own in primary_conninfo',
        ),
      );
    if (rows.length === 1 && rows[0]?.state === 'streaming') continue;
    if (rows.length <= 1)
      found.push(
        about(
          'problem',
          voter.name,
          'streaming',
          rows.length === 0
            ? `does not stream from ${master.name} under its name`
            : `is connected to ${master.name} but does not stream yet (${rows[0]?.state ?? 'state hidden'})`,
          `on ${voter.name}: see its log, and primary_conninfo with application_name=${voter.name}`,
        ),
      );
  }
  return found;
}

/** pg_keeper.node_name of each server is the name it is registered under. */
function nameFindings(cluster: ClusterLook): readonly Finding[] {
  return cluster.nodes.flatMap((node) => {
    const look = answered(node);
    const { name, kind } = node.voter;
    if (look === null || kind !== 'node' || look.observation.nodeName === name) return [];
    const mend = `in postgresql.conf of ${name}: pg_keeper.node_name = '${name.replaceAll("'", "''")}'; then SELECT pg_reload_conf();`;
    return look.observation.nodeName === null
      ? [
          about(
            'warning',
            name,
            'node_name',
            'pg_keeper.node_name is not set in its files; its worker must get it as --node-name',
            mend,
          ),
        ]
      : [
          about(
            'problem',
            name,
            'node_name',
            `pg_keeper.node_name is '${look.observation.nodeName}' there, but it is registered as "${name}"`,
            cluster.nodes.some(({ voter }) => voter.name === look.observation.nodeName)
              ? `its conninfo leads to the server of ${look.observation.nodeName}: correct it in pgkeeper.node_info; if it does not, ${mend}`
              : mend,
          ),
        ];
  });
}

/** Any node may become master and hold a lease of its own length; no other may promote before that has run out. */
function timeFindings(cluster: ClusterLook): readonly Finding[] {
  const found: Finding[] = [];
  const times = cluster.nodes.flatMap((node) => {
    const look = answered(node);
    if (look === null || node.voter.kind !== 'node') return [];
    const { settings, problems } = settingsOfNode(look, node.voter.name);
    for (const problem of problems)
      found.push(
        about(
          'problem',
          node.voter.name,
          'settings',
          problem,
          'correct it in postgresql.conf, then SELECT pg_reload_conf();',
        ),
      );
    if (settings === null) return [];
    return [
      {
        name: node.voter.name,
        lease: settings.leaseTtlMs,
        failover: settings.keepaliveTimeMs * settings.keepaliveCount,
      },
    ];
  });
  const longest = times.reduce<(typeof times)[number] | null>(
    (a, b) => (a === null || b.lease > a.lease ? b : a),
    null,
  );
  const shortest = times.reduce<(typeof times)[number] | null>(
    (a, b) => (a === null || b.failover < a.failover ? b : a),
    null,
  );
  if (longest === null || shortest === null) return found;
  if (longest.lease >= shortest.failover)
    found.push(
      about(
        'problem',
        null,
        'lease_ttl',
        `lease_ttl is ${formatDuration(longest.lease)} on ${longest.name}, but T is only ${formatDuration(shortest.failover)} on ${shortest.name}`,
        'give every node the same pg_keeper.keepalive_time, keepalive_count and lease_ttl, then SELECT pg_reload_conf();',
      ),
    );
  else if (new Set(times.map((time) => `${time.lease} ${time.failover}`)).size > 1) {
    const list = times.map((time) => `${time.name} T = ${formatDuration(time.failover)}`).join(', ');
    found.push(
      about(
        'warning',
        null,
        'keepalive_time',
        `the nodes have different settings: ${list}`,
        'give every node the same',
      ),
    );
  } else if (found.length === 0)
    found.push(
      about(
        'ok',
        null,
        'lease_ttl',
        `T = ${formatDuration(shortest.failover)}, lease_ttl = ${formatDuration(longest.lease)} on every node`,
      ),
    );
  return found;
}

/** No decision compares clocks; times in logs and events do. */
const clockToleranceMs = 1000;

function clockFindings(cluster: ClusterLook): readonly Finding[] {
  return cluster.nodes.flatMap(({ voter, look }) => {
    if (look.kind !== 'answered') return [];
    const surelyMs = Math.abs(look.clockOffsetMs) - look.roundTripMs / 2;
    if (surelyMs <= clockToleranceMs) return [];
    const direction = look.clockOffsetMs > 0 ? 'ahead of' : 'behind';
    const by = formatDuration(Math.round(Math.abs(look.clockOffsetMs)));
    return [
      about(
        'warning',
        voter.name,
        'clock',
        `its clock is ${by} ${direction} this host's; decisions do not depend on it, times in events do`,
        'run a time service (chrony, systemd-timesyncd) on every host',
      ),
    ];
  });
}

function reachFindings(cluster: ClusterLook, reach: readonly Reach[]): readonly Finding[] {
  const silent = new Set(
    cluster.nodes.flatMap(({ voter, look }) => (look.kind === 'silent' ? [voter.name] : [])),
  );
  // A server that does not answer here either has its own finding.
  const lost = reach.filter((one) => !one.reached && !silent.has(one.to));
  if (lost.length === 0)
    return reach.length === 0 || silent.size > 0
      ? []
      : [about('ok', null, 'reachability', 'every node reaches every other, both ways')];
  return lost.map(({ from, to, problem }) =>
    about(
      'problem',
      from,
      'reachability',
      `does not reach ${to} with the conninfo registered for ${to}${problem === null ? '' : ` (${problem})`}`,
      `on the host of ${from}: psql with that conninfo shows why (network, listen_addresses, pg_hba.conf of ${to}, password, postgresql-contrib)`,
    ),
  );
}
