/** Puts the faults of a plan into effect, and ends all of them. Nothing here judges. */
import type { Cluster } from './cluster.js';
import { describeFault, type Fault, type FaultKind } from './fault-plan.js';
import type { Host } from './host.js';
import { type Effect, machines, networkEffects } from './network-faults.js';
import { boot, processEffects } from './process-faults.js';
import { startWitness, witnessEffects } from './witness-faults.js';

const effects: Readonly<Record<FaultKind, Effect>> = {
  ...networkEffects,
  ...processEffects,
  ...witnessEffects,
};

function targetOf(cluster: Cluster, fault: Fault, actor: Host | null): Host {
  const at = (i: number) => cluster.hosts[i % cluster.hosts.length] as Host;
  const any = at(fault.node);
  const master = cluster.hosts.find((host) => host.server.writable);
  switch (fault.aim) {
    case 'any':
      return any;
    case 'master':
      return master ?? any;
    case 'standby':
      return any === master ? at(fault.node + 1) : any;
    case 'actor':
      return actor ?? any;
    case 'peer':
      return any === actor ? at(fault.node + 1) : any;
  }
}

/** Schedules all of them; those that wait for a decision strike once. */
export function schedule(cluster: Cluster, faults: readonly Fault[]): void {
  const waiting = new Map<Fault, number>();
  for (const fault of faults) {
    if (fault.ambush === null) {
      cluster.world.at(fault.at - 1000, () => cluster.watchClosely(1000));
      cluster.world.at(fault.at, () => begin(cluster, fault, null));
    } else waiting.set(fault, fault.ambush.skip);
  }
  cluster.onDecision = (actor, code) => {
    for (const [fault, left] of waiting) {
      const { ambush } = fault;
      if (ambush === null || ambush.code !== code || cluster.world.now < fault.at || cluster.healed) continue;
      waiting.set(fault, left - 1);
      if (left > 0) continue;
      waiting.delete(fault);
      cluster.world.after(ambush.delayMs, () => begin(cluster, fault, actor));
    }
  };
}

function begin(cluster: Cluster, fault: Fault, actor: Host | null): void {
  const host = targetOf(cluster, fault, actor);
  const { world } = cluster;
  if (host.paused || cluster.healed) return;
  world.say('fault', `${describeFault(fault)} -> ${host.name}`);
  cluster.hurry(fault.forMs + 20_000);
  cluster.watchClosely(5000);
  const end = effects[fault.kind](cluster, host, fault);
  if (end !== null) {
    world.after(fault.forMs, () => {
      world.say('fault', `end of ${fault.kind} ${host.name}`);
      cluster.hurry(20_000);
      cluster.watchClosely(5000);
      if (fault.kind === 'pause-machine') end();
      else host.whenAwake(end);
    });
  }
}

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
    server.recovery.paused = false;
    server.recovery.scheduleReplay();
    // What an operator stopped, an operator starts.
    if (server.life === 'down' && server.cleanShutdown && host.powered) server.start();
  }
  for (const witness of cluster.witnesses) {
    witness.thaw();
    startWitness(witness);
  }
  cluster.hurry(60_000);
}
