/** Faults of witnesses: they stop, lose power, answer slowly, or another server takes their place. Nothing where there is none. */
import type { Cluster } from './cluster.js';
import type { Fault } from './fault-plan.js';
import type { Effect } from './network-faults.js';
import type { KeptRow, Server } from './server.js';
import type { Branch } from './wal.js';

function witnessOf(cluster: Cluster, fault: Fault): Server | undefined {
  return cluster.witnesses[Math.floor(fault.choice * cluster.witnesses.length)];
}

/** A witness that is up again: somebody's ordinary server, which nobody here looks after. */
export function startWitness(server: Server): void {
  server.machine.powered = true;
  server.around.network.retransmit();
  server.start();
}

/** The server that was added, as it was when another one took its place. */
interface Original {
  readonly address: string;
  readonly branch: Branch;
  readonly kept: readonly (readonly [string, KeptRow])[];
}

const originals = new WeakMap<Server, Original>();

function originalOf({ address, branch, kept }: Server): Original {
  return { address, branch, kept: [...kept] };
}

/** Added anew: what was in its place before is gone for good. */
export function forgetOriginal(server: Server): void {
  originals.delete(server);
}

/** Nobody can be master to register the new one: operators bring the old one back, with its disk. */
export function bringBack(server: Server): void {
  const original = originals.get(server);
  if (original === undefined) return;
  originals.delete(server);
  server.crash('the original comes back');
  server.address = original.address;
  server.branch = original.branch;
  server.kept.clear();
  for (const [token, row] of original.kept) server.kept.set(token, row);
  startWitness(server);
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
    originals.set(server, originals.get(server) ?? originalOf(server));
    if (fault.choice * 10 - Math.floor(fault.choice * 10) < 0.5) server.address = `${server.address}'`;
    else server.branch = cluster.newBranch(server.branch.tli + 1, server.branch, server.end, server.name);
    if (fault.forMs > 3000) server.kept.clear();
    startWitness(server);
    return null;
  },
} satisfies Record<string, Effect>;
