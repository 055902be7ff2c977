/** Mistakes about witnesses, and about what carries the decisions out: statements on other servers, marks in files, rows that move back. */
import { type Mutation, mistakenly, noTrace, one } from './mutation.js';

export const mutationsOfRest: readonly Mutation[] = [
  {
    name: 'statements travel apart from the session that holds the vote',
    schedule: 'A5',
    replacements: [],
    inModel: (cluster) => mistakenly(cluster, 'statements-apart'),
    play: 'I5 a master pointed',
    caughtBy: ['S2'],
  },
  {
    name: 'an older row overwrites a newer one on a witness',
    replacements: [],
    inModel: (cluster) => {
      mistakenly(cluster, 'statements-apart');
      for (const witness of cluster.witnesses) witness.movesBack = true;
    },
    hiddenBy: 'a late statement dies with the session of the vote (I5); the database does not rely on that',
    play: 'I9 the row',
    caughtBy: ['S3'],
  },
  {
    name: 'processes are ended before the files say that it may come back as a standby only',
    replacements: [],
    unguarded: true,
    inModel: (cluster) => mistakenly(cluster, 'signal-last'),
    play: 'I18 a supervisor',
    caughtBy: ['S1'],
  },
  {
    name: 'standbys rest without the hold',
    schedule: 'A2',
    replacements: [
      ...one('core/roles/tending.js', "registry.syncWished > 0 ? holdNames : ''", "''"),
      ...one('core/roles/standby.js', 'restUnderHold(k, turn, role, obs);', ''),
    ],
    hiddenBy:
      'a standby sees to its hold itself when its row wishes sync; the master does so as soon as it has written that row',
    play: 'A2 the checkpointer is in long fsyncs when a standby is promoted',
    caughtBy: ['S4'],
  },
  {
    name: 'a lock that is free was given up by its holder',
    schedule: 'A12',
    replacements: one(
      'core/votes/lease.js',
      'linkOf(k, voter.name)?.vote?.workers.includes(name) === true',
      'linkOf(k, voter.name)?.vote != null',
    ),
    unguarded: true,
    play: 'A12 the voters end',
    caughtBy: ['S1'],
  },
  {
    name: 'what a peer saw of the master delays nothing',
    replacements: one('core/election/voting.js', 'lastAlive, k.seenByPeerAt', 'lastAlive'),
    unguarded: true,
    play: 'I21 one standby',
    caughtBy: ['S1'],
  },
  {
    name: 'a vote is given up when one answer on its session is late',
    schedule: 'B12',
    replacements: one(
      'core/turn.js',
      ': Math.max(pollDeadlineMs(k.settings), patienceMs),',
      ': pollDeadlineMs(k.settings),',
    ),
    play: 'B12 the network of the master',
    caughtBy: ['L2'],
  },
  {
    name: 'votes of a lapsed master are given back before its server is dead',
    schedule: 'B3',
    replacements: [
      ...one(
        'core/roles/master.js',
        'retire(k, turn);\n}\nexport function ingestMaster',
        'retire(k, turn);\n    releaseVotes(k, turn);\n}\nexport function ingestMaster',
      ),
      ...noTrace,
    ],
    unguarded: true,
    play: 'I4 the lease',
    caughtBy: ['S1'],
  },
  {
    name: 'a witness gets the row before k members of R have flushed it',
    schedule: 'A1',
    replacements: one(
      'core/election/new-epoch.js',
      'if (members >= e.sync.needed)\n        tellWitnesses',
      'tellWitnesses',
    ),
    play: 'A1 the new epoch names a member that has not received',
    caughtBy: ['S2', 'S4'],
  },
  {
    name: 'the row of a witness is not read when its vote is taken',
    replacements: one('core/votes/witness.js', 'return witnessAhead(k, ours)?.row ?? ours;', 'return ours;'),
    play: 'I14 the witness alone',
    caughtBy: ['S2', 'S3'],
  },
  {
    name: 'any server answers for a witness',
    schedule: 'A13',
    replacements: one('core/foreign-server.js', 'return !isSameWitness(voter, obs);', 'return false;'),
    play: 'A13 a witness fails over without',
    caughtBy: ['S2', 'S3'],
  },
  {
    name: 'with sync off a node that the master had given up takes over',
    replacements: one(
      'core/election/freeze.js',
      'if (!formerHere && !e.lossAccepted && wasLeftBehind(k, turn, e, registry, obs))',
      'if (false)',
    ),
    play: 'I14 with sync off',
    caughtBy: ['S3'],
  },
  {
    name: 'a witness is told a promise that nobody has seen to hold',
    schedule: 'A1',
    replacements: one('core/election/freeze.js', 'isPromiseSeen(k) &&', ''),
    play: 'I15 the worker of a new master',
    caughtBy: ['S2', 'S3'],
  },
];
