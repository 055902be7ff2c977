/**
 * Deliberate mistakes, each the removal of one rule of the protocol, and what must notice it. A checker that lets one of
 * them pass is worth nothing. Texts are those of the compiled core.
 */
import type { FaultKind } from './fault-plan.js';
import type { Replacement } from './mutated-core.js';

export interface Mutation {
  readonly name: string;
  /** The schedule of the protocol's review that the rule answers, where there is one. */
  readonly schedule?: string;
  readonly replacements: readonly Replacement[];
  /** Rules of which one must be reported. */
  readonly caughtBy: readonly string[];
  /** Clusters in which the mistake shows soonest. */
  readonly nodes?: number;
  readonly wish?: 'off' | 'one' | 'two';
  readonly kinds?: readonly FaultKind[];
  readonly latencyMs?: number;
  /** Seeds known to show it, tried first. */
  readonly seeds?: readonly number[];
}

const one = (file: string, find: string, replace: string): readonly Replacement[] => [
  { file, find, replace },
];

const cuts: readonly FaultKind[] = ['isolate', 'isolate-one-way', 'partition', 'cut-pair', 'cut-one-way'];
const crashes: readonly FaultKind[] = ['crash-server', 'power-off', 'backend-crash', 'freeze-server'];

export const mutations: readonly Mutation[] = [
  {
    name: 'the freeze is skipped: every held node counts as following',
    schedule: 'A5',
    replacements: one(
      'core/freeze.js',
      'const here = new Set([...e.frozen, k.settings.name].filter((name) => heldNames.has(name)));',
      'const here = heldNames;',
    ),
    caughtBy: ['S2', 'S3'],
    wish: 'one',
    kinds: [...cuts, 'pause-replay', 'slow-replay', 'block-replay'],
  },
  {
    name: 'a node counts as frozen as soon as it is pointed here, whoever it streams from',
    schedule: 'A7',
    replacements: one('core/freeze.js', 'streamsFrom(obs, self));', 'true);'),
    caughtBy: ['S2', 'S1', 'S3'],
    wish: 'one',
    kinds: [...cuts, 'pause-replay', 'slow-replay', 'block-replay', 'freeze-server'],
  },
  {
    name: 'a vote counts from the arrival of the answer',
    replacements: one(
      'core/links.js',
      'link.vote.renewedAt = Math.max(link.vote.renewedAt, sentAt);',
      'link.vote.renewedAt = k.now;',
    ),
    caughtBy: ['S1'],
    wish: 'off',
    kinds: ['slow-path', 'isolate-one-way', 'isolate', 'cut-one-way'],
  },
  {
    name: 'a master needs no majority to go on',
    replacements: one(
      'core/lease.js',
      'return votersOf(k).length > 0 && leaseUntil(k) > k.now;',
      'return votersOf(k).length > 0;',
    ),
    caughtBy: ['S1', 'S2', 'S3'],
    wish: 'off',
    kinds: cuts,
  },
  {
    name: 'a server that has just started gives its vote to anybody',
    schedule: 'A10',
    replacements: one('core/lease.js', 'if (birthAgeMs >= k.settings.leaseTtlMs)', 'if (birthAgeMs >= 0)'),
    caughtBy: ['S1', 'S3'],
    wish: 'off',
    kinds: [...crashes, ...cuts],
  },
  {
    name: 'majority is one less',
    replacements: one('core/lease.js', 'Math.floor(voters.length / 2) + 1', 'Math.floor(voters.length / 2)'),
    caughtBy: ['S1', 'S2', 'S3'],
    kinds: cuts,
  },
  {
    name: 'a sync change goes registry first, whatever it changes',
    schedule: 'A1',
    replacements: one(
      'core/sync-plan.js',
      "return { path: 'under-hold', target: desired };",
      "return { path: 'registry-first', target: desired };",
    ),
    caughtBy: ['S4', 'S2'],
    wish: 'two',
    nodes: 5,
    kinds: ['crash-server', 'power-off', 'stop-server', 'slow-replay', 'cut-pair', 'isolate'],
  },
  {
    name: 'weakening writes the setting before the registry is on a majority',
    schedule: 'A1',
    replacements: one(
      'core/sync-change.js',
      'if (!isEstablished(k, change.lsn, change.since))',
      'if (false)',
    ),
    caughtBy: ['S4', 'S2', 'S3'],
    wish: 'one',
    kinds: [...cuts, 'crash-server', 'power-off'],
  },
  {
    name: 'the hold is believed without proof',
    schedule: 'A2',
    replacements: one('core/sync-change.js', 'if (answer.proven) {', 'if (true) {'),
    caughtBy: ['S4', 'S2'],
    wish: 'two',
    nodes: 5,
    kinds: ['checkpointer-busy', 'crash-server', 'stop-server', 'power-off'],
  },
  {
    name: 'candidates do not compare their logs',
    replacements: one('core/freeze.js', 'const ahead = nodeAhead(k, e);', 'const ahead = null;'),
    caughtBy: ['S2', 'S3', 'S5'],
    kinds: [...cuts, 'slow-path', 'slow-replay', 'loss', 'power-off-all', 'crash-server'],
  },
  {
    name: 'logs are compared by timeline number and position alone',
    replacements: one('core/ranking.js', 'if (a.epoch !== b.epoch)', 'if (false)'),
    caughtBy: ['S2', 'S3', 'S5', 'L1'],
    kinds: [...cuts, ...crashes],
  },
  {
    name: 'one member of R too few is enough',
    replacements: one(
      'core/ranking.js',
      'registry.syncMembers.length - registry.syncNeeded + 1',
      'registry.syncMembers.length - registry.syncNeeded',
    ),
    caughtBy: ['S2', 'S3'],
    nodes: 5,
    wish: 'one',
    kinds: [...cuts, ...crashes],
  },
  {
    name: 'degraded counts as off',
    replacements: one('core/ranking.js', 'if (registry.syncWished === 0)', 'if (registry.syncNeeded === 0)'),
    caughtBy: ['S2', 'S3'],
    wish: 'one',
    kinds: [...cuts, ...crashes],
  },
  {
    name: 'real names are set before the epoch is on a majority',
    schedule: 'A4',
    replacements: one(
      'core/promotion.js',
      'if (isEstablished(k, e.writtenLsn, e.phaseAt) && members >= e.sync.needed)',
      'if (members >= 0)',
    ),
    caughtBy: ['S2', 'S3', 'S4', 'S1'],
    wish: 'one',
    nodes: 5,
    kinds: [...cuts, ...crashes],
  },
  {
    name: 'a promotion does not hold commits',
    schedule: 'A4',
    replacements: [
      { file: 'core/promotion.js', find: 'const mustHold = ', replace: 'const mustHold = false && ' },
      { file: 'core/master.js', find: "registry.syncWished > 0 ? holdNames : ''", replace: "''" },
      {
        file: 'core/own-server.js',
        find: '(k.registry?.syncWished ?? 0) > 0 ? holdNames : null',
        replace: 'null',
      },
    ],
    caughtBy: ['S1', 'S2', 'S3', 'S4'],
    wish: 'one',
    nodes: 5,
    kinds: [...cuts, ...crashes],
  },
  {
    name: 'the set of the new epoch holds nodes that do not follow',
    schedule: 'A1',
    replacements: one(
      'core/promotion.js',
      'wish.members.filter((name) => e.frozen.has(name))',
      'wish.members.filter((name) => name !== "")',
    ),
    caughtBy: ['S4', 'S2', 'L1'],
    wish: 'one',
    nodes: 5,
    kinds: [...cuts, ...crashes],
  },
  {
    name: 'the registry is read before everything is replayed',
    schedule: 'A6',
    replacements: [
      {
        file: 'core/freeze.js',
        find: 'if (own.obs === null || !isSettled(own.obs))',
        replace: 'if (own.obs === null)',
      },
      { file: 'core/ranking.js', find: 'return isSettled(theirs) ||', replace: 'return true ||' },
    ],
    caughtBy: ['S2', 'S3', 'S4', 'S5'],
    wish: 'two',
    nodes: 5,
    kinds: [
      'slow-replay',
      'pause-replay',
      'block-replay',
      'crash-server',
      'power-off',
      'isolate',
      'partition',
    ],
  },
  {
    name: 'a lapsed master with sync off goes on',
    replacements: one(
      'core/master.js',
      'releaseVotes(k, turn);\n    retire(k, turn);\n}\n/** Keeps a node',
      'releaseVotes(k, turn);\n}\n/** Keeps a node',
    ),
    caughtBy: ['S1'],
    wish: 'off',
    kinds: cuts,
  },
  {
    name: 'votes are given back before the server is dead',
    schedule: 'B3',
    replacements: one(
      'core/own-server.js',
      "turn.effects.push({ kind: 'retire-server', names: fencedNames(k) });\n}\n/** The server was started",
      "turn.effects.push({ kind: 'retire-server', names: fencedNames(k) });\n    releaseVotes(k, turn);\n}\n/** The server was started",
    ),
    caughtBy: ['S1'],
    wish: 'off',
    kinds: ['freeze-server', 'connections-full', 'crash-server', 'isolate', 'reject'],
  },
  {
    name: 'the same timeline number twice is not noticed',
    schedule: 'A8',
    replacements: one(
      'core/ranking.js',
      'return expected !== undefined && obs.registry.promotionId !== expected;',
      'return false;',
    ),
    caughtBy: ['S5'],
    kinds: [...cuts, ...crashes],
  },
  {
    name: 'an epoch that was fought for is fought for again',
    replacements: one('core/freeze.js', 'e.epoch = Math.max(known, ...seen) + 1;', 'e.epoch = known + 1;'),
    caughtBy: ['S3', 'S2', 'S5', 'L1'],
    kinds: [...cuts, ...crashes],
  },
  {
    name: 'refused connections are enough for a fast failover with sync off',
    replacements: one('core/voting.js', 'k.now < silentAt && leaseMayRun(k, e)', 'false'),
    caughtBy: ['S1', 'S3'],
    wish: 'off',
    kinds: ['reject', 'crash-server', 'backend-crash'],
  },
  {
    name: 'a node leaves for a rejoin while a majority counts on its vote',
    replacements: one('core/standby.js', 'if (isVoteGood(k, ownLink(k)) || ownYouthMs(k) > 0)', 'if (true)'),
    caughtBy: ['L1', 'L2'],
    kinds: [...cuts, ...crashes],
  },
  {
    name: 'a candidate that is blocked keeps its votes',
    schedule: 'B4',
    replacements: one(
      'core/election-round.js',
      "releaseVotes(k, turn);\n    if (e.cause === 'failover') {",
      "if (e.cause === 'failover') {",
    ),
    caughtBy: ['L1'],
    wish: 'one',
    kinds: [...cuts, ...crashes],
  },
];
