/** What unit tests of the core start from: the default settings of a worker, a row, and a look at a server in which nothing is unusual. */
import type { CoreSettings, Observation, Registry } from '../../src/core/types.js';

export const defaultSettings: Omit<CoreSettings, 'name' | 'seed'> = {
  keepaliveTimeMs: 5000,
  keepaliveCount: 3,
  leaseTtlMs: 10_000,
  fastFailover: true,
  quorum: 'auto',
  priority: 100,
  startupGraceMs: 30_000,
  fencingCommand: false,
  poolPauseMs: 0,
};

export const settingsOfN1: CoreSettings = { ...defaultSettings, name: 'n1', seed: 1 };

/** The row of two nodes, n1 and n2, without synchronous replication. */
export function rowOf(epoch: number, master: string): Registry {
  const voters = ['n1', 'n2'].map((name, seqno) => ({
    name,
    kind: 'node' as const,
    conninfo: `host=${name}`,
    database: 'd',
    seqno,
  }));
  return {
    epoch,
    version: 9,
    promotionId: `p${epoch}`,
    promotions: [],
    systemIdentifier: '7',
    master,
    syncWish: '',
    syncMembers: [],
    syncNeeded: 0,
    syncWished: 0,
    voters,
    nodes: voters,
  };
}

/** An old server on timeline 2 which streams from nobody and to nobody. */
export function look(
  of: Pick<Observation, 'inRecovery' | 'received' | 'registry'> & Partial<Observation>,
): Observation {
  return {
    systemIdentifier: '7',
    nodeName: null,
    timeline: 2,
    replayed: of.received,
    readToEnd: true,
    replayPaused: false,
    walReceiver: null,
    primaryConninfo: '',
    ballot: 0,
    address: '',
    names: '',
    fenced: false,
    birthAgeMs: 1e9,
    priority: 100,
    replication: [],
    workers: [],
    retryOverride: false,
    overruled: false,
    ...of,
  };
}
