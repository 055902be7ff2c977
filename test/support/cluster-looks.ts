/** Made-up looks at servers, for tests of what the commands conclude from them. Three healthy nodes unless changed. */
import type { ServerFacts } from '../../src/cli/check/check-facts.js';
import type { ClusterLook, NodeLook } from '../../src/cli/cluster-look.js';
import type { Answered, RegisteredNode } from '../../src/cli/server-look.js';
import { parseLsn } from '../../src/core/lsn.js';
import type { Observation, Registry, Voter } from '../../src/core/types.js';
import type { Failure } from '../../src/postgres/failure.js';

export function voterOf(name: string, seqno: number, kind: Voter['kind'] = 'node'): Voter {
  return { name, kind, conninfo: `host=${name}`, database: 'postgres', seqno };
}

const three = [voterOf('n1', 1), voterOf('n2', 2), voterOf('n3', 3)];

export const registry: Registry = {
  epoch: 4,
  version: 20,
  promotionId: 'p',
  promotions: [{ timeline: 2, id: 'p' }],
  systemIdentifier: '7',
  master: 'n1',
  syncWish: 'FIRST 1 (n2, n3)',
  syncMembers: ['n2', 'n3'],
  syncNeeded: 1,
  syncWished: 1,
  voters: three,
  nodes: three,
};

const standby: Observation = {
  systemIdentifier: '7',
  nodeName: null,
  inRecovery: true,
  timeline: 2,
  received: parseLsn('0/5000000'),
  replayed: parseLsn('0/5000000'),
  readToEnd: true,
  replayPaused: false,
  walReceiver: { status: 'streaming', host: 'n1', port: 5432, lastMessageAgeMs: 10 },
  primaryConninfo: 'host=n1',
  ballot: 0,
  address: '',
  names: '',
  fenced: false,
  birthAgeMs: 1e6,
  priority: 100,
  replication: [],
  workers: [],
  registry,
  retryOverride: true,
  overruled: false,
};

export interface NodeChanges {
  readonly observation?: Partial<Observation>;
  readonly look?: Partial<Answered>;
  /** State of its worker; null = none runs. */
  readonly state?: string | null;
  readonly failure?: Failure;
}

function masterOf(of: Registry, names: readonly string[]): Partial<Observation> {
  return {
    inRecovery: false,
    walReceiver: null,
    primaryConninfo: '',
    replication: names
      .filter((name) => name !== of.master)
      .map((name) => ({
        name,
        state: 'streaming',
        flushLsn: standby.received,
        replayLsn: standby.replayed,
        priority: 1,
      })),
  };
}

/** A cluster as `lookAtCluster` would give it. */
export function clusterOf(
  changes: Readonly<Record<string, NodeChanges>> = {},
  of: Partial<Registry> = {},
): ClusterLook {
  const current: Registry = { ...registry, ...of };
  const names = current.voters.map((voter) => voter.name);
  const states = names.map((name) => {
    const isMaster = name === current.master;
    const given = changes[name]?.state;
    return {
      name,
      state: given === undefined ? (isMaster ? 'master:connected' : 'standby:connected') : given,
    };
  });
  const nodes = current.voters.map((voter): NodeLook => {
    const change = changes[voter.name] ?? {};
    if (change.failure !== undefined) return { voter, look: { kind: 'silent', failure: change.failure } };
    const isMaster = voter.name === current.master;
    const observation: Observation = {
      ...standby,
      nodeName: voter.name,
      registry: current,
      ...(isMaster ? masterOf(current, names) : {}),
      ...change.observation,
    };
    const look: Answered = {
      kind: 'answered',
      observation,
      registered: [],
      workers: states.flatMap(({ name, state }) =>
        state === null ? [] : [{ node: name, state, silentMs: 100 }],
      ),
      voteHolder: current.master,
      serverVersion: 150_000,
      clockOffsetMs: 0,
      roundTripMs: 2,
      replayedAgeMs: isMaster ? null : 60_000,
      keeperSettings: {},
      ...change.look,
    };
    return { voter, look };
  });
  const registered = current.nodes.map(
    ({ name, seqno }): RegisteredNode => ({
      name,
      seqno,
      is_master: name === current.master,
      is_nextmaster: name === current.syncMembers[0],
      is_sync: current.syncMembers.includes(name),
      state: states.find((one) => one.name === name)?.state ?? null,
      since: '2026-01-01T00:00:00Z',
    }),
  );
  return { registry: current, nodes, registered };
}

export const gone: Failure = { kind: 'refused', message: 'connect ECONNREFUSED 10.0.0.9:5432' };

const setting = (value: string) => ({ value, source: 'configuration file' });

/** A server with nothing to complain of. */
export function factsOfServer(name: string, changes: Partial<ServerFacts> = {}): ServerFacts {
  return {
    name,
    version: '15.4',
    versionNum: 150_004,
    inRecovery: name !== 'n1',
    database: 'postgres',
    settings: goodSettings,
    role: 'pgkeeper',
    superuser: false,
    replication: true,
    missingGrants: [],
    dblink: true,
    dblinkWithoutPassword: true,
    schema: { kind: 'extension', version: '0.1.0' },
    receiver: name === 'n1' ? null : { status: 'streaming', host: 'n1', port: 5432, name },
    streaming: name === 'n1' ? ['n2', 'n3'].map((one) => ({ name: one, state: 'streaming' })) : [],
    slots: [],
    replayPaused: false,
    syncWish: 'n2, n3',
    freeConnections: 90,
    ...changes,
  };
}

export const goodSettings: ServerFacts['settings'] = {
  hot_standby: setting('on'),
  wal_level: setting('replica'),
  wal_log_hints: setting('on'),
  data_checksums: setting('off'),
  full_page_writes: setting('on'),
  max_wal_senders: setting('10'),
  max_replication_slots: setting('10'),
  max_slot_wal_keep_size: setting('10GB'),
  max_connections: setting('100'),
  max_worker_processes: setting('8'),
  max_prepared_transactions: setting('0'),
  max_locks_per_transaction: setting('64'),
  synchronous_standby_names: setting('n2, n3'),
  synchronous_commit: setting('on'),
  primary_conninfo: setting(''),
  recovery_min_apply_delay: setting('0'),
  wal_retrieve_retry_interval: setting('5s'),
};
