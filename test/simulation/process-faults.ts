/** Faults of workers, servers and machines. Each returns what ends it; null when it ends by itself. */
import { runLongQuery } from './clients.js';
import type { Cluster } from './cluster.js';
import type { Host } from './host.js';
import type { Effect } from './network-faults.js';

/** Supervisors start a worker again, as systemd does. */
function reviveWorker(cluster: Cluster, host: Host): void {
  if (host.powered && !host.paused) host.startWorker();
  else cluster.world.after(500, () => reviveWorker(cluster, host));
}

/** A machine that comes back starts its server as its boot does: whatever the data directory says. */
export function boot(cluster: Cluster, host: Host): void {
  host.powerOn();
  const { random } = cluster.world;
  const serverMs = random.between(0, 8000);
  const workerMs = random.between(0, 8000);
  cluster.world.after(serverMs, () => host.whenAwake(() => host.server.start()));
  cluster.world.after(workerMs, () => host.whenAwake(() => host.startWorker()));
}

export const processEffects = {
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
  'kill-guard': (_cluster, host) => {
    host.guard.die();
    return null;
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
    host.server.recovery.paused = true;
    return () => {
      host.server.recovery.paused = false;
      host.server.recovery.scheduleReplay();
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
    host.clock.jumpWall((fault.choice - 0.5) * 40_000);
    return null;
  },
  'start-fails': (_cluster, host) => {
    host.server.startFails = true;
    return () => {
      host.server.startFails = false;
    };
  },
} satisfies Record<string, Effect>;
