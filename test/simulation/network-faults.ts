/** Faults of the network: cuts of every kind, slow and lossy paths. Each returns what ends it. */
import type { Cluster } from './cluster.js';
import type { Fault } from './fault-plan.js';
import type { Host } from './host.js';
import type { Machine, Path } from './network.js';

export type Effect = (cluster: Cluster, host: Host, fault: Fault) => (() => void) | null;

export function machines(cluster: Cluster): readonly Machine[] {
  return [...cluster.hosts, ...cluster.witnesses.map((server) => server.machine)];
}

function other(cluster: Cluster, host: Host, fault: Fault): Machine {
  const all = machines(cluster);
  const candidate = all[Math.floor(fault.choice * all.length)] ?? host;
  return candidate === host ? (cluster.hosts[fault.other % cluster.hosts.length] as Host) : candidate;
}

function setBoth(cluster: Cluster, a: Machine, b: Machine, path: Path): void {
  cluster.network.setPath(a, b, path);
  cluster.network.setPath(b, a, path);
}

function isolate(cluster: Cluster, host: Host, out: Path, into: Path): () => void {
  for (const peer of machines(cluster)) {
    if (peer === host) continue;
    cluster.network.setPath(host, peer, out);
    cluster.network.setPath(peer, host, into);
  }
  return () => {
    for (const peer of machines(cluster)) if (peer !== host) setBoth(cluster, host, peer, 'up');
  };
}

function partition(cluster: Cluster, host: Host, fault: Fault): () => void {
  const all = machines(cluster);
  const size = 1 + Math.floor(fault.choice * (all.length - 1));
  const from = all.indexOf(host);
  const inside = new Set(Array.from({ length: size }, (_, i) => all[(from + i) % all.length] as Machine));
  const pairs: [Machine, Machine][] = [];
  for (const a of inside) for (const b of all) if (!inside.has(b)) pairs.push([a, b]);
  for (const [a, b] of pairs) setBoth(cluster, a, b, 'drop');
  return () => {
    for (const [a, b] of pairs) setBoth(cluster, a, b, 'up');
  };
}

function flap(cluster: Cluster, host: Host, fault: Fault): () => void {
  let over = false;
  const mend = () => isolate(cluster, host, 'up', 'up');
  const turn = (cut: boolean) => {
    if (over || cluster.healed) return;
    if (cut) isolate(cluster, host, 'drop', 'drop');
    else mend();
    const { random } = cluster.world;
    cluster.world.after(random.between(100, cut ? 3000 : 9000), () => turn(!cut));
  };
  turn(true);
  void fault;
  return () => {
    over = true;
    mend();
  };
}

export const networkEffects = {
  'cut-pair': (cluster, host, fault) => {
    const peer = other(cluster, host, fault);
    setBoth(cluster, host, peer, 'drop');
    return () => setBoth(cluster, host, peer, 'up');
  },
  'cut-one-way': (cluster, host, fault) => {
    const peer = other(cluster, host, fault);
    cluster.network.setPath(host, peer, 'drop');
    return () => cluster.network.setPath(host, peer, 'up');
  },
  isolate: (cluster, host) => isolate(cluster, host, 'drop', 'drop'),
  'isolate-one-way': (cluster, host, fault) =>
    fault.choice < 0.5 ? isolate(cluster, host, 'drop', 'up') : isolate(cluster, host, 'up', 'drop'),
  reject: (cluster, host, fault) =>
    fault.choice < 0.5 ? isolate(cluster, host, 'reject', 'reject') : isolate(cluster, host, 'up', 'reject'),
  partition,
  flap,
  'slow-path': (cluster, host, fault) => {
    const extraMs = 5 + 900 * fault.choice ** 3;
    for (const peer of machines(cluster)) {
      cluster.network.setSlow(host, peer, extraMs);
      cluster.network.setSlow(peer, host, extraMs);
    }
    return () => {
      for (const peer of machines(cluster)) {
        cluster.network.setSlow(host, peer, 0);
        cluster.network.setSlow(peer, host, 0);
      }
    };
  },
  loss: (cluster, _host, fault) => {
    cluster.network.lossShare = 0.3 * fault.choice;
    return () => {
      cluster.network.lossShare = 0;
    };
  },
} satisfies Record<string, Effect>;
