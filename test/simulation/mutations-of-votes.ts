/** Mistakes about votes, the lease, fencing and the guard: mostly two masters at one time. */
import { cuts, type Mutation, noGuard, noTrace, one } from './mutation.js';

export const mutationsOfVotes: readonly Mutation[] = [
  {
    name: 'a vote counts from the arrival of the answer',
    replacements: one(
      'core/links.js',
      'link.vote.renewedAt = Math.max(link.vote.renewedAt, sentAt);',
      'link.vote.renewedAt = k.now;',
    ),
    unguarded: true,
    play: 'I1 the answer',
    caughtBy: ['S1'],
  },
  {
    name: 'a master needs no majority to go on',
    replacements: [
      {
        file: 'core/votes/lease.js',
        find: 'return votersOf(k).length > 0 && leaseUntil(k) > k.now;',
        replace: 'return votersOf(k).length > 0;',
      },
      {
        file: 'core/roles/master.js',
        find: 'if (until <= k.now && !goesOnPaused(k, turn, m))',
        replace: 'if (false)',
      },
    ],
    unguarded: true,
    seeds: [3, 11],
    caughtBy: ['S1', 'S2', 'S3'],
    wish: 'off',
    kinds: cuts,
  },
  {
    name: 'a server that has just started gives its vote to anybody',
    schedule: 'A10',
    replacements: [
      ...one('core/votes/lease.js', 'if (birthAgeMs >= k.settings.leaseTtlMs)', 'if (birthAgeMs >= 0)'),
      ...noTrace,
    ],
    unguarded: true,
    play: 'A10 a voter restarts',
    caughtBy: ['S1', 'S3'],
  },
  {
    name: 'majority is one less',
    replacements: one(
      'core/votes/lease.js',
      'Math.floor(voters.length / 2) + 1',
      'Math.floor(voters.length / 2)',
    ),
    seeds: [15, 21, 11],
    caughtBy: ['S1', 'S2', 'S3'],
    kinds: cuts,
  },
  {
    name: 'a lapsed master with sync off goes on',
    replacements: one(
      'core/roles/master.js',
      'function lapse(k, turn, m) {',
      'function lapse(k, turn, m) {\n    if ((k.registry?.syncNeeded ?? 0) === 0) return releaseVotes(k, turn);',
    ),
    unguarded: true,
    play: 'A10 a voter restarts',
    caughtBy: ['S1'],
  },
  {
    name: 'votes are given back before the server is dead',
    schedule: 'B3',
    replacements: [
      ...one(
        'core/own-server/own-server.js',
        "turn.effects.push({ kind: 'retire-server', names: fencedNames(k) });\n}\n/** The server answers again",
        "turn.effects.push({ kind: 'retire-server', names: fencedNames(k) });\n    releaseVotes(k, turn);\n}\n/** The server answers again",
      ),
      ...noTrace,
    ],
    unguarded: true,
    play: 'B3 the votes',
    caughtBy: ['S1', 'S3'],
  },
  {
    name: 'refused connections are enough for a fast failover with sync off',
    replacements: one('core/election/voting.js', 'if (k.now < silentAt)', 'if (false)'),
    play: 'A12 the voters end',
    caughtBy: ['S1', 'S3'],
  },
  {
    name: 'a node leaves for a rejoin while a majority counts on its vote',
    replacements: one(
      'core/roles/coming-back.js',
      'if (isVoteGood(k, ownLink(k)) || ownYouthMs(k) > 0)',
      'if (true)',
    ),
    play: 'I17 a node is to be brought back while',
    caughtBy: ['L2'],
  },
  {
    name: 'two of three leave for a rejoin at once',
    replacements: one('core/roles/coming-back.js', 'if (isMissed(k, turn, stray))', 'if (false)'),
    play: 'I17 two of three',
    caughtBy: ['L1'],
  },
  {
    name: 'a vote that is not renewed any more counts when another is given back',
    replacements: one('core/votes/lease.js', 'k.now - vote.renewedAt <= vote.ttlMs / 2', 'true'),
    play: 'I17 a node is to be brought back, and',
    caughtBy: ['L2'],
  },
  {
    name: 'a candidate that is blocked keeps its votes',
    schedule: 'B4',
    replacements: [
      ...one(
        'core/election/election-round.js',
        "releaseVotes(k, turn);\n    if (e.cause === 'failover') {",
        "if (e.cause === 'failover') {",
      ),
      ...one('core/roles/standby.js', 'else if (own.vote !== null) {', 'else if (false) {'),
    ],
    hiddenBy:
      'a standby that is in no election gives the vote of its own server back; both are kept, since the first frees all votes at once',
    play: 'B4 a blocked candidate',
    caughtBy: ['L1'],
  },
  {
    name: 'the own server votes for its worker however young it is',
    schedule: 'A10',
    replacements: [
      ...one(
        'core/votes/lease.js',
        'return !soleVoter && k.now - link.lastHeldAt >= k.settings.leaseTtlMs;',
        'return false;',
      ),
      ...noTrace,
    ],
    unguarded: true,
    play: 'A10 a node restarts',
    caughtBy: ['S1', 'S3'],
  },
  {
    name: 'wall time that runs ahead of monotonic time is not noticed',
    replacements: one('worker/worker.js', 'if (offset - this.#offsetMs > jumpMs)', 'if (false)'),
    unguarded: true,
    seeds: [31],
    caughtBy: ['S1'],
    wish: 'off',
    kinds: ['pause-machine', 'isolate'],
    aims: ['master'],
    settings: { keepaliveTimeMs: 5000, keepaliveCount: 3, leaseTtlMs: 14_500 },
  },
  {
    name: 'no guard',
    schedule: 'A11',
    replacements: noGuard,
    play: 'A11 the same with sync off',
    caughtBy: ['S1'],
  },
  {
    name: 'the guard waits until T with sync off too',
    schedule: 'A11',
    replacements: [
      ...one('core/guard-deadline.js', '(registry?.syncNeeded ?? 0) > 0 ?', 'true ?'),
      ...one(
        'core/own-server/own-server.js',
        'if ((k.registry?.syncNeeded ?? 0) > 0)\n        return failoverMs;',
        'return failoverMs;',
      ),
      ...noTrace,
    ],
    play: 'A11 the same with sync off',
    caughtBy: ['S1'],
  },
  {
    name: 'a claim that holds the votes again leaves the guard its old deadline',
    replacements: one('core/guard-deadline.js', 'return isNobodyElse(k, role, graceMs > 0)', 'return false'),
    play: 'I22 a worker that is started again has its votes',
    caughtBy: ['L2'],
  },
  {
    name: 'a master with sync on goes on without the lease',
    replacements: [
      ...one(
        'core/roles/master.js',
        'if (until <= k.now && !goesOnPaused(k, turn, m))',
        'if (until <= k.now && (k.registry?.syncWished ?? 0) === 0 && !goesOnPaused(k, turn, m))',
      ),
      ...one('core/roles/master.js', 'if (isOverruled(k, own.obs)) {', 'if (false) {'),
    ],
    hiddenBy:
      'a master that sees the row of a newer epoch ends its server; both are kept, since until then it would change what it holds no lease for',
    unguarded: true,
    play: 'I20 the master is cut off',
    caughtBy: ['S1', 'S2', 'S3', 'S4', 'L1'],
  },
  {
    name: 'a vote is forgotten and not given back while a statement runs',
    schedule: 'B8',
    replacements: one(
      'core/votes/lease.js',
      "link.releasing = !send(k, turn, link, { kind: 'release' });",
      "send(k, turn, link, { kind: 'release' });",
    ),
    play: 'A4 the former master',
    caughtBy: ['L1', 'L2'],
  },
  {
    name: 'a claim that waited under hold has no guard when it is established',
    replacements: one(
      'core/guard-deadline.js',
      "role.phase !== 'establish' &&\n                role.phase !== 'names'",
      'true',
    ),
    play: 'I22 a promotion that waited',
    caughtBy: ['S1'],
  },
  {
    name: 'of two masters that see each other none gives way',
    replacements: one('core/roles/master.js', 'if (isOverruled(k, own.obs)) {', 'if (false) {'),
    play: 'I25 two nodes alone',
    caughtBy: ['L1'],
  },
  {
    name: 'two nodes are a pair while their only witness is replaced',
    replacements: one('core/votes/lease.js', 'hasWitness ?', 'false ?'),
    play: 'I1 the only witness',
    caughtBy: ['S1', 'S3'],
  },
  {
    name: 'an operator gives up voters that were seen a moment ago',
    replacements: one(
      'core/election/operator-word.js',
      'givesUp && !without.every((voter) => isSilent(k, turn, voter))',
      'false',
    ),
    play: 'I6 an operator accepts',
    caughtBy: ['S1', 'S2'],
  },
  {
    name: 'of two nodes that an operator goes on with each is a majority',
    replacements: one('core/votes/lease.js', 'if (isForced(k))', 'if (false)'),
    play: 'I6 two operators',
    caughtBy: ['S1', 'S5'],
  },
];
