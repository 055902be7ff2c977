/** Mistakes about logs, epochs, the synchronous set and membership: mostly something acknowledged that is missing. */
import { type Mutation, mistakenly, one } from './mutation.js';

export const mutationsOfData: readonly Mutation[] = [
  {
    name: 'the freeze is skipped: every held node counts as following',
    schedule: 'A5',
    replacements: one(
      'core/election/freeze.js',
      'const here = new Set([...e.frozen, k.settings.name].filter((name) => heldNames.has(name)));',
      'const here = heldNames;',
    ),
    play: 'A3 after a power cut',
    caughtBy: ['S2', 'S3'],
  },
  {
    name: 'a node counts as frozen as soon as it is pointed here, whoever it streams from',
    schedule: 'A7',
    replacements: one(
      'core/election/election-round.js',
      'obs.ballot === epoch && streamsFrom(obs, self)',
      'obs.ballot === epoch',
    ),
    play: 'A7 blocked replay',
    caughtBy: ['S2', 'S1', 'S3'],
  },
  {
    name: 'a sync change goes registry first, whatever it changes',
    schedule: 'A1',
    replacements: one(
      'core/sync/sync-plan.js',
      "return { path: 'under-hold', target: desired };",
      "return { path: 'registry-first', target: desired };",
    ),
    play: 'A1 k is raised',
    caughtBy: ['S4', 'S2'],
  },
  {
    name: 'weakening writes the setting before the registry is on a majority',
    schedule: 'A1',
    replacements: one(
      'core/sync/sync-change.js',
      'if (!isEstablished(k, change.lsn, change.since, row))',
      'if (false)',
    ),
    play: 'I10 the row',
    caughtBy: ['S4'],
  },
  {
    name: 'the hold is believed without proof',
    schedule: 'A2',
    replacements: one('core/sync/sync-change.js', 'if (answer.proven) {', 'if (true) {'),
    play: 'A2 a walsender that has not',
    caughtBy: ['S4', 'S2'],
  },
  {
    name: 'candidates do not compare their logs',
    replacements: one('core/election/freeze.js', 'const ahead = nodeAhead(k, e);', 'const ahead = null;'),
    play: 'B1 the node that is ahead',
    caughtBy: ['S2', 'S3', 'S5'],
  },
  {
    name: 'logs are compared by timeline number and position alone',
    replacements: one('core/ranking.js', 'if (a.epoch !== b.epoch)', 'if (false)'),
    play: 'A4 the former master',
    caughtBy: ['S2', 'S3', 'S5', 'L1'],
  },
  {
    name: 'one member of R too few is enough',
    replacements: one(
      'core/ranking.js',
      'registry.syncMembers.length - registry.syncNeeded + 1',
      'registry.syncMembers.length - registry.syncNeeded',
    ),
    play: 'A1 a member that alone',
    caughtBy: ['S2', 'S3'],
  },
  {
    name: 'degraded counts as off',
    replacements: one('core/ranking.js', 'if (registry.syncWished === 0)', 'if (registry.syncNeeded === 0)'),
    play: 'I14 the witness alone',
    caughtBy: ['S2', 'S3'],
  },
  {
    name: 'real names are set before the epoch is on a majority',
    schedule: 'A4',
    replacements: one(
      'core/election/new-epoch.js',
      'if (isEstablished(k, e.writtenLsn, e.phaseAt, row) && members >= e.sync.needed)',
      'if (members >= 0)',
    ),
    play: 'A4 a commit between',
    caughtBy: ['S2', 'S3', 'S4', 'S1'],
  },
  {
    name: 'a promotion does not hold commits',
    schedule: 'A4',
    replacements: [
      {
        file: 'core/election/promotion.js',
        find: 'const mustHold = ',
        replace: 'const mustHold = false && ',
      },
      { file: 'core/roles/tending.js', find: "registry.syncWished > 0 ? holdNames : ''", replace: "''" },
      { file: 'core/roles/standby.js', find: 'restUnderHold(k, turn, role, obs);', replace: '' },
      {
        file: 'core/own-server/own-server.js',
        find: 'k.registry === null || k.registry.syncWished > 0 ? holdNames : null',
        replace: 'null',
      },
    ],
    play: 'A4 a commit between',
    caughtBy: ['S1', 'S2', 'S3', 'S4'],
  },
  {
    name: 'the set of the new epoch holds nodes that do not follow',
    schedule: 'A1',
    replacements: [
      {
        file: 'core/election/new-epoch.js',
        find: 'wish.members.filter((name) => e.frozen.has(name))',
        replace: 'wish.members',
      },
      {
        file: 'core/election/new-epoch.js',
        find: 'if (members >= e.sync.needed)\n        tellWitnesses',
        replace: 'tellWitnesses',
      },
      {
        file: 'core/election/new-epoch.js',
        find: 'if (isEstablished(k, e.writtenLsn, e.phaseAt, row) && members >= e.sync.needed)',
        replace: 'if (isEstablished(k, e.writtenLsn, e.phaseAt, row))',
      },
    ],
    hiddenBy:
      'k members of the set must have flushed the row before it is established, and before witnesses are told of it: a set that is too large only delays. It keeps the epoch from beginning degraded where it need not',
    play: 'I15 the new epoch',
    caughtBy: ['S2', 'S4'],
  },
  {
    name: 'the registry is read before everything is replayed',
    schedule: 'A6',
    replacements: [
      {
        file: 'core/election/freeze.js',
        find: 'if (own.obs === null || !isSettled(own.obs))',
        replace: 'if (own.obs === null)',
      },
      { file: 'core/ranking.js', find: '(isSettled(theirs) ||', replace: '(true ||' },
    ],
    play: 'A6 k was lowered',
    caughtBy: ['S2', 'S3', 'S4', 'S5'],
  },
  {
    name: 'the same timeline number twice is not noticed',
    schedule: 'A8',
    replacements: one(
      'core/ranking.js',
      'return expected !== undefined && obs.registry.promotionId !== expected;',
      'return false;',
    ),
    play: 'A8 two servers',
    caughtBy: ['S5'],
  },
  {
    name: 'an epoch that was fought for is fought for again',
    replacements: one(
      'core/election/freeze.js',
      'e.epoch = Math.max(known, ...seen) + 1;',
      'e.epoch = known + 1;',
    ),
    play: 'A4 the former master',
    caughtBy: ['S3', 'S2', 'S5', 'L1'],
  },
  {
    name: 'positions are not compared',
    replacements: one(
      'core/ranking.js',
      'return a.received < b.received ? -1 : a.received > b.received ? 1 : 0;',
      'return 0;',
    ),
    play: 'B1 the node that is ahead',
    caughtBy: ['S2', 'S3', 'S5'],
  },
  {
    name: 'a new set counts before it has flushed what is there',
    schedule: 'A1',
    replacements: one(
      'core/sync/sync-change.js',
      'change.target.members.filter((name) => flushed.has(name)).length >= change.target.needed',
      'true',
    ),
    play: 'A1 a member that alone',
    caughtBy: ['S4', 'S2'],
  },
  {
    name: 'two promotions of one timeline number pass for one while neither has a row',
    schedule: 'A8',
    replacements: one(
      'core/ranking.js',
      'return made.timeline === ours.timeline && made.epoch === ours.epoch;',
      'return made.timeline === ours.timeline;',
    ),
    play: 'I17 two nodes are promoted one after the other',
    caughtBy: ['S5'],
  },
  {
    name: 'who followed a promotion without a row is of another history',
    replacements: one(
      'core/ranking.js',
      'return made.timeline === ours.timeline && made.epoch === ours.epoch;',
      'return false;',
    ),
    play: 'I17 the worker dies as its node is promoted',
    caughtBy: ['L1'],
  },
  {
    name: 'a node stays behind a promotion that never got its row',
    replacements: one(
      'core/roles/standby.js',
      'else if (followsDeadEnd(k, turn, role, obs)) {',
      'else if (false) {',
    ),
    play: 'I17 a node followed a promotion',
    caughtBy: ['S5'],
  },
  {
    name: 'a rejoin overwrites a higher ballot',
    replacements: [
      {
        file: 'core/own-server/rejoin.js',
        find: 'Math.max(k.registry?.epoch ?? 0, ours === null ? 0 : ours.ballot)',
        replace: 'k.registry?.epoch ?? 0',
      },
      {
        file: 'core/roles/coming-back.js',
        find: 'if (ours.ballot > (theirs.registry?.epoch ?? 0))',
        replace: 'if (false)',
      },
    ],
    inModel: (cluster) => mistakenly(cluster, 'rejoin-blind'),
    hiddenBy:
      'a node that was counted in a later election does not come back at all, and its server is looked at once more when it is stopped: an election may count it in between, so all three are kept',
    play: 'I7 a node is',
    caughtBy: ['S3'],
  },
  {
    name: 'voters change before the last change is on a majority',
    replacements: one(
      'core/roles/membership.js',
      'if (m.pending !== null || m.establishedVersion !== registry.version)',
      'if (false)',
    ),
    play: 'I23 two nodes',
    caughtBy: ['S1', 'S3'],
  },
  {
    name: 'voters change without a majority of the new set',
    replacements: one(
      'core/roles/membership.js',
      'return held.length >= needed && flushing.length >= needed;',
      'return true;',
    ),
    play: 'I23 a node is removed',
    caughtBy: ['L2'],
  },
  {
    name: 'a node leaves the voters while it is in R',
    replacements: one(
      'core/roles/membership.js',
      'if (registry.syncNeeded > 0 && registry.syncMembers.includes(removed.name))',
      'if (false)',
    ),
    play: 'I24 a node is removed',
    caughtBy: ['L1'],
  },
];
