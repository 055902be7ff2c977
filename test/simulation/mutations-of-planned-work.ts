/** Mistakes about switchovers and pauses. */
import { cuts, type Mutation, mistakenly, one } from './mutation.js';

export const mutationsOfPlannedWork: readonly Mutation[] = [
  {
    name: 'a handover does not ask what the target has',
    replacements: one('core/handover/handover-stop.js', 'shown.received > end', 'true'),
    caughtBy: ['S2'],
    nodes: 3,
    wish: 'off',
    kinds: ['backend-crash', 'restart-server', 'crash-server'],
    ambushCodes: ['handing-over'],
    latencyMs: 60,
    operations: ['switchover', 'switchover-to'],
    seeds: [9, 25, 62],
  },
  {
    name: 'clients that somebody else paused are not resumed',
    replacements: one('core/handover/handover.js', "if (namesPools(k))\n        enter(k, h, 'resume');", ''),
    caughtBy: ['L1'],
    nodes: 3,
    kinds: ['kill-worker', 'crash-server', 'power-off'],
    ambushCodes: ['pools-paused'],
    settings: { poolPauseMs: 5000 },
    operations: ['switchover', 'switchover-to'],
    seeds: [1],
  },
  {
    name: 'a server that is stopped for a handover can be started as a master',
    replacements: [],
    inModel: (cluster) => mistakenly(cluster, 'handover-unmarked'),
    play: 'I28 a supervisor starts',
    caughtBy: ['S2'],
  },
  {
    name: 'a pause counts before it is on a majority',
    replacements: one('core/plan.js', 'return shown.length >= needed;', 'return true;'),
    caughtBy: ['S1'],
    nodes: 3,
    wish: 'off',
    kinds: cuts,
    operations: ['pause', 'resume', 'pause'],
    seeds: [53],
  },
  {
    name: 'a candidate does not mind a pause',
    replacements: one(
      'core/plan.js',
      'return registry.master !== name && !isHandedTo(registry, name);',
      'return false;',
    ),
    caughtBy: ['S1'],
    nodes: 3,
    wish: 'off',
    kinds: cuts,
    operations: ['pause'],
    seeds: [3, 11],
  },
];
