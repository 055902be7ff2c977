/**
 * What goes wrong, as a list made beforehand from the seed: each fault has a time and an end, so that a failing run can be
 * repeated with fewer of them. Checkers are elsewhere; nothing here judges.
 */
import { runLongQuery } from './clients.js';
import type { Cluster } from './cluster.js';
import type { Host } from './host.js';
import type { Machine, Path } from './network.js';
import type { Random } from './random.js';

export interface Fault {
  readonly at: number;
  readonly kind: FaultKind;
  /** Which node it meets, by its place; for roles: see `aim`. */
  readonly node: number;
  readonly other: number;
  /** 'master' and 'standby' are found when the fault begins. */
  readonly aim: 'any' | 'master' | 'standby';
  readonly forMs: number;
  /** A number in [0, 1) for whatever the kind still has to choose. */
  readonly choice: number;
}

const faultKinds = [
  'cut-pair',
  'cut-one-way',
  'isolate',
  'isolate-one-way',
  'reject',
  'partition',
  'flap',
  'slow-path',
  'loss',
  'kill-worker',
  'stop-worker',
  'stall-worker',
  'crash-server',
  'freeze-server',
  'freeze-host',
  'pause-machine',
  'power-off',
  'power-off-all',
  'backend-crash',
  'restart-server',
  'stop-server',
  'checkpointer-busy',
  'pause-replay',
  'block-replay',
  'slow-replay',
  'slow-disk',
  'connections-full',
  'jump-wall',
  'start-fails',
] as const;

export type FaultKind = (typeof faultKinds)[number];

/** Faults a cluster must bear without any change of master (L2). */
export const harmlessKinds: readonly FaultKind[] = [
  'cut-pair',
  'slow-path',
  'kill-worker',
  'stop-worker',
  'backend-crash',
  'crash-server',
  'stop-server',
  'freeze-server',
  'pause-replay',
  'block-replay',
  'slow-replay',
  'jump-wall',
];

const longestMs = 90_000;

/** Short ones around the bounds of the protocol and long ones beyond them. */
function durationOf(random: Random): number {
  const u = random.unit();
  if (u < 0.3) return random.between(20, 2000);
  if (u < 0.7) return random.between(2000, 20_000);
  return random.between(20_000, longestMs);
}

export interface PlanOptions {
  readonly from: number;
  readonly until: number;
  readonly nodes: number;
  /** Mean time between bursts. */
  readonly everyMs: number;
  readonly kinds?: readonly FaultKind[];
  readonly aims?: readonly Fault['aim'][];
}

/** Bursts of one to four faults that overlap, with pauses in which a cluster may or may not recover. */
export function planFaults(random: Random, options: PlanOptions): readonly Fault[] {
  const kinds = options.kinds ?? faultKinds;
  const aims = options.aims ?? (['any', 'master', 'master', 'standby'] as const);
  const faults: Fault[] = [];
  let at = options.from + random.between(0, options.everyMs);
  while (at < options.until) {
    const size = random.pick([1, 1, 1, 2, 2, 3, 4]);
    let time = at;
    for (let i = 0; i < size; i++) {
      const node = random.integer(0, options.nodes - 1);
      faults.push({
        at: Math.round(time),
        kind: random.pick(kinds),
        node,
        other: (node + random.integer(1, Math.max(1, options.nodes - 1))) % options.nodes,
        aim: random.pick(aims),
        forMs: Math.round(durationOf(random)),
        choice: Math.round(random.unit() * 1000) / 1000,
      });
      time += random.chance(0.4) ? random.between(0, 300) : random.between(0, 25_000);
    }
    at = time + random.between(0.2, 1.8) * options.everyMs;
  }
  return faults.filter((fault) => fault.at < options.until);
}

export function describeFault(fault: Fault): string {
  const who = fault.aim === 'any' ? `n${fault.node + 1}` : fault.aim;
  return `${fault.kind} ${who} (other n${fault.other + 1}, ${fault.choice}) for ${fault.forMs} ms`;
}

function targetOf(cluster: Cluster, fault: Fault): Host {
  const at = (i: number) => cluster.hosts[i % cluster.hosts.length] as Host;
  const any = at(fault.node);
  if (fault.aim === 'any') return any;
  const master = cluster.hosts.find((host) => host.server.writable);
  if (fault.aim === 'master') return master ?? any;
  return any === master ? at(fault.node + 1) : any;
}

/** Schedules all of them. */
export function schedule(cluster: Cluster, faults: readonly Fault[]): void {
  for (const fault of faults) cluster.world.at(fault.at, () => begin(cluster, fault));
}

function begin(cluster: Cluster, fault: Fault): void {
  const host = targetOf(cluster, fault);
  const { world } = cluster;
  if (host.paused) return;
  world.say('fault', `${describeFault(fault)} -> ${host.name}`);
  cluster.hurry(fault.forMs + 20_000);
  const end = effects[fault.kind](cluster, host, fault);
  if (end !== null) {
    world.after(fault.forMs, () => {
      world.say('fault', `end of ${fault.kind} ${host.name}`);
      cluster.hurry(30_000);
      if (fault.kind === 'pause-machine') end();
      else host.whenAwake(end);
    });
  }
}

type Effect = (cluster: Cluster, host: Host, fault: Fault) => (() => void) | null;

function machines(cluster: Cluster): readonly Machine[] {
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

/** Supervisors start a worker again, as systemd does. */
function reviveWorker(cluster: Cluster, host: Host): void {
  if (host.powered && !host.paused) host.startWorker();
  else cluster.world.after(500, () => reviveWorker(cluster, host));
}

/** A machine that comes back starts its server as its boot does: whatever the data directory says. */
function boot(cluster: Cluster, host: Host): void {
  host.powerOn();
  const { random } = cluster.world;
  const serverMs = random.between(0, 8000);
  const workerMs = random.between(0, 8000);
  cluster.world.after(serverMs, () => host.whenAwake(() => host.server.start()));
  cluster.world.after(workerMs, () => host.whenAwake(() => host.startWorker()));
}

const effects: Readonly<Record<FaultKind, Effect>> = {
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
  'kill-worker': (cluster, host) => {
    host.killWorker();
    return () => reviveWorker(cluster, host);
  },
  'stop-worker': (cluster, host) => {
    host.stopWorker();
    return () => reviveWorker(cluster, host);
  },
  'stall-worker': (_cluster, host) => {
    host.stallWorker();
    return () => host.resumeWorker();
  },
  'crash-server': (_cluster, host) => {
    host.server.crash('fault');
    return null;
  },
  'freeze-server': (_cluster, host) => {
    host.server.freeze();
    return () => host.server.thaw();
  },
  'freeze-host': (cluster, host) => {
    host.server.freeze();
    host.stallWorker();
    return () => {
      const { random } = cluster.world;
      cluster.world.after(random.between(0, 5), () => host.server.thaw());
      cluster.world.after(random.between(0, 5), () => host.resumeWorker());
    };
  },
  'pause-machine': (cluster, host, fault) => {
    if (!host.powered) return null;
    host.pause();
    const begun = cluster.world.now;
    // Whether monotonic time goes on is the hypervisor's business.
    return () => host.unpause(fault.choice < 0.6 ? cluster.world.now - begun : 0);
  },
  'power-off': (cluster, host) => {
    host.powerOff();
    return () => boot(cluster, host);
  },
  'power-off-all': (cluster, _host, fault) => {
    for (const each of cluster.hosts) each.whenAwake(() => each.powerOff());
    return () => {
      const late = Math.floor(fault.choice * cluster.hosts.length * 2);
      cluster.hosts.forEach((each, i) => {
        cluster.world.after(i === late ? 60_000 : 0, () => boot(cluster, each));
      });
    };
  },
  'backend-crash': (_cluster, host) => {
    host.server.restartAfterBackendCrash();
    return null;
  },
  'restart-server': (cluster, host, fault) => {
    host.server.stop(() => {
      cluster.world.after(20 + 6000 * fault.choice, () => host.whenAwake(() => host.server.start()));
    });
    return null;
  },
  'stop-server': (_cluster, host) => {
    host.server.stop(() => undefined);
    return () => {
      if (host.powered) host.server.start();
    };
  },
  'checkpointer-busy': (cluster, host, fault) => {
    for (const each of fault.choice < 0.5 ? [host] : cluster.hosts)
      each.server.checkpointerBusyUntil = cluster.world.now + Math.min(fault.forMs, 15_000);
    return null;
  },
  'pause-replay': (_cluster, host) => {
    if (!host.server.inRecovery || host.server.life !== 'up') return null;
    host.server.replayPaused = true;
    return () => {
      host.server.replayPaused = false;
      host.server.scheduleReplay();
    };
  },
  'block-replay': (_cluster, host, fault) => {
    runLongQuery(host.server, fault.forMs);
    return null;
  },
  'slow-replay': (_cluster, host, fault) => {
    host.server.replayDelayMs = 20 + 8000 * fault.choice ** 2;
    return () => {
      host.server.replayDelayMs = 0;
    };
  },
  'slow-disk': (_cluster, host, fault) => {
    host.server.diskMs = 10 + 4000 * fault.choice ** 3;
    return () => {
      host.server.diskMs = 0;
    };
  },
  'connections-full': (_cluster, host) => {
    host.server.connectionsFull = true;
    return () => {
      host.server.connectionsFull = false;
    };
  },
  'jump-wall': (_cluster, host, fault) => {
    host.jumpWall((fault.choice - 0.5) * 40_000);
    return null;
  },
  'start-fails': (_cluster, host) => {
    host.server.startFails = true;
    return () => {
      host.server.startFails = false;
    };
  },
};

/** All faults over: network whole, machines on, processes running. Servers that are down are left to their workers. */
export function healAll(cluster: Cluster): void {
  const { network, world } = cluster;
  world.say('fault', 'all faults are over');
  cluster.healed = true;
  for (const a of machines(cluster)) {
    for (const b of machines(cluster)) {
      if (a === b) continue;
      network.setPath(a, b, 'up');
      network.setSlow(a, b, 0);
    }
  }
  network.lossShare = 0;
  for (const host of cluster.hosts) {
    const { server } = host;
    host.unpause(0);
    server.thaw();
    host.resumeWorker();
    if (!host.powered) boot(cluster, host);
    else host.startWorker();
    Object.assign(server, { replayDelayMs: 0, diskMs: 0, connectionsFull: false, startFails: false });
    server.checkpointerBusyUntil = 0;
    server.replayPaused = false;
    server.scheduleReplay();
    // What an operator stopped, an operator starts.
    if (server.life === 'down' && server.cleanShutdown && host.powered) server.start();
  }
  cluster.hurry(60_000);
}
