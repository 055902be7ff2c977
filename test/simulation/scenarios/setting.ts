/** The cluster of a schedule: how many, what is wished, who may lead. Latencies are small, and differ with the seed. */
import type { CoreSettings } from '../../../src/core/types.js';
import { defaultSettings } from '../../support/core-state.js';
import { Cluster } from '../cluster.js';
import type { WorkerClass } from '../host.js';

export interface Setting {
  readonly nodes: number;
  readonly witnesses?: number;
  /** synchronous_standby_names in every server's own file; '' = off. */
  readonly names: string;
  /** In n1's file only: the others have none of their own. */
  readonly onlyOnMaster?: boolean;
  /** Nodes with priority 0. */
  readonly neverMaster?: readonly string[];
  readonly settings?: Partial<CoreSettings>;
}

export function clusterOf(
  setting: Setting,
  seed: number,
  workerClass: WorkerClass,
  recording: boolean,
): Cluster {
  const { nodes, witnesses = 0, names, onlyOnMaster = false, neverMaster = [], settings = {} } = setting;
  const topology = {
    nodes,
    witnesses,
    wish: names,
    settings: { ...defaultSettings, ...settings },
    latencyMs: 0.5,
    clockError: 0.001,
  };
  const cluster = new Cluster(topology, seed, workerClass, recording);
  for (const host of cluster.hosts) {
    if (onlyOnMaster && host.name !== 'n1') host.server.alterSystem({ userNames: '' });
    if (!neverMaster.includes(host.name)) continue;
    host.settings = { ...host.settings, priority: 0 };
    host.server.alterSystem({ priority: 0 });
  }
  return cluster;
}
