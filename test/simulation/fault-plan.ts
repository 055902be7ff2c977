/**
 * What goes wrong, as a list made beforehand from the seed: each fault has a time and an end, so that a failing run can be
 * repeated with fewer of them. What each does is faults.ts.
 */
import type { ReasonCode } from '../../src/core/reasons.js';
import type { Random } from './random.js';

/** A decision at which a fault strikes: the windows that matter are milliseconds wide. */
export interface Ambush {
  readonly code: ReasonCode;
  /** How many such decisions pass first. */
  readonly skip: number;
  readonly delayMs: number;
}

export interface Fault {
  /** With an ambush: not before. */
  readonly at: number;
  readonly ambush: Ambush | null;
  readonly kind: FaultKind;
  /** Which node it meets, by its place; for roles: see `aim`. */
  readonly node: number;
  readonly other: number;
  /** 'master' and 'standby' are found when the fault begins; 'actor' is who decided, 'peer' somebody else. */
  readonly aim: 'any' | 'master' | 'standby' | 'actor' | 'peer';
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
  'kill-guard',
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
  'witness-crash',
  'witness-restart',
  'witness-power',
  'witness-freeze',
  'witness-replaced',
] as const;

export type FaultKind = (typeof faultKinds)[number];

/** Faults a cluster must bear without any change of master (L2): where and how long is harmless.ts. */
export const harmlessKinds: readonly FaultKind[] = [
  'cut-pair',
  'isolate',
  'stall-worker',
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

/** Short ones around the bounds of the protocol that are fixed, those around T, and long ones beyond it. */
function durationOf(random: Random, failoverMs: number): number {
  const u = random.unit();
  if (u < 0.3) return random.between(20, 2000);
  if (u < 0.7) return random.between(0.15, 1.4) * failoverMs;
  return random.between(1.4, 6) * failoverMs;
}

export interface PlanOptions {
  readonly from: number;
  readonly nodes: number;
  readonly bursts: number;
  /** T of this cluster: how long faults and pauses are is measured by it. */
  readonly failoverMs: number;
  /** Mean pause between bursts, in T. */
  readonly every: number;
  /** Before this burst all is quiet for so long, ms; real clusters are quiet most of the time. */
  readonly quiet: { readonly before: number; readonly forMs: number } | null;
  /** How many faults wait for a decision; otherwise as the seed says. */
  readonly ambushes?: number;
  readonly kinds?: readonly FaultKind[];
  readonly aims?: readonly Fault['aim'][];
  /** Faults strike at these decisions, several times; otherwise as the seed says. */
  readonly ambushCodes?: readonly ReasonCode[];
}

/** Bursts of one to four faults that overlap, with pauses in which a cluster may or may not recover. */
export function planFaults(random: Random, options: PlanOptions): readonly Fault[] {
  const kinds = options.kinds ?? faultKinds;
  const aims = options.aims ?? (['any', 'master', 'master', 'standby'] as const);
  const faults: Fault[] = [];
  const everyMs = Math.max(8000, options.every * options.failoverMs);
  let at = options.from + random.between(0, everyMs);
  for (let burst = 0; burst < options.bursts; burst++) {
    if (options.quiet?.before === burst) at += options.quiet.forMs;
    const size = random.pick([1, 1, 1, 2, 2, 3, 4]);
    let time = at;
    for (let i = 0; i < size; i++) {
      const node = random.integer(0, options.nodes - 1);
      faults.push({
        at: Math.round(time),
        ambush: null,
        kind: random.pick(kinds),
        node,
        other: (node + random.integer(1, Math.max(1, options.nodes - 1))) % options.nodes,
        aim: random.pick(aims),
        forMs: Math.round(durationOf(random, options.failoverMs)),
        choice: Math.round(random.unit() * 1000) / 1000,
      });
      time += random.chance(0.4) ? random.between(0, 300) : random.between(0, 1.2) * options.failoverMs;
    }
    at = time + random.between(0.2, 1.8) * everyMs;
  }
  return [...faults, ...planAmbushes(random, options, kinds, faults)];
}

const ambushCodes: readonly ReasonCode[] = [
  'master-suspected',
  'master-crashed',
  'election-first',
  'votes-held',
  'nodes-frozen',
  'peer-ahead',
  'promoting',
  'promoted',
  'epoch-established',
  'master-ready',
  'lease-lapsed',
  'lease-kept',
  'claim-failed',
  'server-retired',
  'server-started',
  'rejoin-started',
  'rejoined',
  'sync-change',
  'sync-changed',
  'went-async',
  'node-following',
  'voter-added',
  'voter-removed',
  'switchover-started',
  'handing-over',
  'handover-stopped',
  'handed-over',
  'handover-received',
  'handover-broken-off',
];

/** They wait from a little before one of the bursts on. */
function planAmbushes(
  random: Random,
  options: PlanOptions,
  kinds: readonly FaultKind[],
  bursts: readonly Fault[],
): readonly Fault[] {
  const chosen = options.ambushes ?? (options.ambushCodes === undefined ? undefined : 12);
  if (chosen === undefined && random.chance(0.3)) return [];
  return Array.from({ length: chosen ?? random.integer(1, 8) }, () => {
    const node = random.integer(0, options.nodes - 1);
    return {
      at: Math.max(options.from, random.pick(bursts).at - random.integer(0, 5000)),
      ambush: {
        code: random.pick(options.ambushCodes ?? ambushCodes),
        skip: random.pick([0, 0, 0, 1, 3]),
        delayMs: random.chance(0.5) ? random.between(0, 3) : random.between(0, 60),
      },
      kind: random.pick(kinds),
      node,
      other: (node + random.integer(1, Math.max(1, options.nodes - 1))) % options.nodes,
      aim: random.pick(['actor', 'actor', 'peer', 'master', 'any'] as const),
      forMs: Math.round(durationOf(random, options.failoverMs)),
      choice: Math.round(random.unit() * 1000) / 1000,
    };
  });
}

export function describeFault(fault: Fault): string {
  const who = fault.aim === 'any' ? `n${fault.node + 1}` : fault.aim;
  const when = fault.ambush === null ? '' : ` at ${fault.ambush.code}`;
  return `${fault.kind} ${who} (other n${fault.other + 1}, ${fault.choice}) for ${fault.forMs} ms${when}`;
}
