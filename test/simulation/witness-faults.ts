/** Faults of witnesses: they stop, lose power, answer slowly, or another server takes their place. Nothing where there is none. */
import type { Cluster } from './cluster.js';
import type { Fault } from './fault-plan.js';
import type { Effect } from './network-faults.js';
import type { Server } from './server.js';

function witnessOf(cluster: Cluster, fault: Fault): Server | undefined {
  return cluster.witnesses[Math.floor(fault.choice * cluster.witnesses.length)];
}

/** A witness that is up again: somebody's ordinary server, which nobody here looks after. */
export function startWitness(server: Server): void {
  server.machine.powered = true;
  server.around.network.retransmit();
  server.start();
}

export const witnessEffects = {
  'witness-crash': (cluster, _host, fault) => {
    const server = witnessOf(cluster, fault);
    server?.crash('fault');
    return server === undefined ? null : () => startWitness(server);
  },
  'witness-restart': (_cluster, _host, fault) => {
    const server = witnessOf(_cluster, fault);
    server?.stop(() => server.around.world.after(20 + 3000 * fault.choice, () => startWitness(server)));
    return null;
  },
  'witness-power': (cluster, _host, fault) => {
    const server = witnessOf(cluster, fault);
    if (server === undefined || !server.machine.powered) return null;
    server.loseUpstream();
    server.crash('power');
    server.machine.powered = false;
    return () => startWitness(server);
  },
  'witness-freeze': (cluster, _host, fault) => {
    const server = witnessOf(cluster, fault);
    server?.freeze();
    return () => server?.thaw();
  },
  /** Its standby was promoted, or a snapshot restored: another server under the same name, with what it kept or without. */
  'witness-replaced': (cluster, _host, fault) => {
    const server = witnessOf(cluster, fault);
    if (server === undefined || server.life !== 'up') return null;
    server.crash('replaced');
    if (fault.choice * 10 - Math.floor(fault.choice * 10) < 0.5) server.address = `${server.address}'`;
    else server.branch = cluster.newBranch(server.branch.tli + 1, server.branch, server.end, server.name);
    if (fault.forMs > 3000) server.kept.clear();
    startWitness(server);
    return null;
  },
} satisfies Record<string, Effect>;
