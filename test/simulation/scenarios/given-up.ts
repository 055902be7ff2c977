/** With sync off a former master is known to have given up its lease, or its lease is waited for (I21): who may pass for the first. */
import { expectDead, resetVotes, takesNobody } from './circumstances.js';
import { one, type Scenario } from './scenario.js';
import type { Stage } from './stage.js';
import { pausesReplay, stopsStreaming, takesNoStandby } from './streams.js';
import { silenceIsSilence } from './unseen.js';

const anySession = one(
  'core/votes/lease.js',
  'return failoverTimeMs(k.settings) + leaseMarginMs(k.settings);',
  'return 0;',
);

/** The session of that candidate ends, and what it has asked for on it is not done any more. */
function losesItsBallot(stage: Stage, name: string, candidate: string, andThen: () => void): void {
  const server = stage.server(name);
  const alterSystem = server.alterSystem.bind(server);
  server.alterSystem = (change) => {
    if (change.primaryConninfo === undefined) return alterSystem(change);
    server.alterSystem = alterSystem;
    stage.cluster.world.after(0, () => {
      andThen();
      resetVotes(stage, candidate, [name]);
    });
  };
}

export const givenUp: readonly Scenario[] = [
  {
    name: 'I21 the votes of a master are reset, and ending its server takes long',
    why: 'its worker is back on the voters at once, without the locks, and its server still acknowledges',
    setting: { nodes: 3, names: '' },
    play(stage) {
      for (const name of ['n2', 'n3']) stopsStreaming(stage, name);
      stage.writeAll();
      stage.run(1000);
      takesNobody(stage, 'n1');
      stage.untilDecision('n2', 'votes-refused');
      stage.server('n1').diesAfterMs = 3000;
      for (const voter of ['n2', 'n3']) stage.endSessionOn(voter, 'n1');
      expectDead(stage, 'n1', 'promoting');
      stage.untilAnyMaster(['n1', 'n2', 'n3']);
      stage.run(2000);
    },
    without: {
      rule: 'a session without the lock says something only when it is so old that its worker has acted on that',
      replacements: anySession,
      shows: /^S[13]: |n1 is dead/,
    },
  },
  {
    name: 'I21 the worker of a master is started again, and a standby that cannot reach the master stands just then',
    why: 'while its claim runs it has sessions without the locks, and its server acknowledges',
    setting: { nodes: 4, names: '', neverMaster: ['n3', 'n4'] },
    play(stage) {
      const voters = ['n2', 'n3', 'n4'];
      takesNoStandby(stage.server('n1'));
      stage.writeAll();
      stage.run(1000);
      takesNobody(stage, 'n1');
      stage.untilDecision('n2', 'votes-refused');
      stage.untilDecision('n2', 'master-suspected');
      stage.host('n1').killWorker();
      stage.run(100);
      stage.host('n1').startWorker();
      const isThere = (voter: string) =>
        [...stage.server(voter).sessions].some(({ owner }) => owner === 'n1');
      stage.until('n1 is back on all', () => voters.every(isThere));
      // Before it asks for a vote it gets no processor.
      stage.host('n1').stallWorker();
      stage.cluster.world.after(1500, () => stage.host('n1').resumeWorker());
      expectDead(stage, 'n1', 'promoting');
      stage.run(5000);
    },
    without: {
      rule: 'a session without the lock says something only when it is so old that its worker has acted on that',
      replacements: anySession,
      shows: /^S[13]: |n1 is dead/,
    },
  },
  {
    name: 'I21 synchronous replication is switched off, and the standbys have that row and have not replayed it',
    why: 'by the row they know the master acknowledges nothing without them, by the row in force it needs nobody',
    setting: { nodes: 3, names: 'ANY 1 (n1, n2, n3)' },
    play(stage) {
      stage.writeAll();
      takesNobody(stage, 'n1');
      stage.run(16_000);
      for (const name of ['n2', 'n3']) stage.server(name).recovery.paused = true;
      stage.wishNames('');
      stage.untilDecision('n1', 'sync-changed');
      stage.cut('n1', ['n2', 'n3']);
      resetVotes(stage, 'n1', ['n2', 'n3']);
      expectDead(stage, 'n1', 'promoting');
      stage.untilAnyMaster(['n2', 'n3']);
      stage.run(2000);
    },
    without: {
      rule: 'whether a lease is waited for is judged by the row in force, too',
      replacements: one('core/election/freeze.js', ' || awaitLease(k, turn, e)', ''),
      shows: /^S[13]: |n1 is dead/,
    },
  },
  {
    name: 'I21 the same when the first who is elected afterwards is cut off, and its votes are reset',
    why: 'by the row in force it acknowledged at once, and only the ballot tells of it',
    setting: { nodes: 5, names: 'ANY 1 (n1, n2, n3, n4, n5)', neverMaster: ['n4', 'n5'] },
    play(stage) {
      const late = ['n3', 'n4', 'n5'];
      takesNobody(stage, 'n1');
      takesNobody(stage, 'n2', ['n1']);
      stage.run(16_000);
      const goOn = late.map((name) => pausesReplay(stage.server(name)));
      stage.wishNames('');
      stage.untilDecision('n1', 'sync-changed');
      stage.run(6000);
      stage.powerOff('n1');
      stage.at('n2', 'promoting', () => {
        stage.isolate('n2');
        resetVotes(stage, 'n2', late);
        for (const go of goOn) stage.cluster.world.after(1500, go);
      });
      stage.writeAll();
      stage.untilDecision('n2', 'promoted');
      expectDead(stage, 'n2', 'promoting');
      stage.run(20_000);
    },
    without: {
      rule: 'who else fought for an epoch is waited for by the row in force, too',
      replacements: one('core/election/freeze.js', 'awaitLateRivals(k, turn, e, registry)', 'false'),
      shows: /^S[13]: |n2 is dead/,
    },
  },
  {
    name: 'I21 who was elected could long not be reached, is cut off, and its votes are reset',
    why: 'its worker went to the others all the while, and had their votes until now',
    setting: { nodes: 5, names: '', neverMaster: ['n4', 'n5'] },
    play(stage) {
      const others = ['n3', 'n4', 'n5'];
      takesNobody(stage, 'n2', ['n1']);
      stage.run(16_000);
      stage.at('n2', 'promoting', () => {
        stage.isolate('n2');
        resetVotes(stage, 'n2', others);
      });
      // The other one that could stand is late.
      stage.server('n3').freeze();
      stage.powerOff('n1');
      stage.writeAll();
      stage.untilDecision('n2', 'promoted');
      stage.server('n3').thaw();
      expectDead(stage, 'n2', 'promoting');
      stage.run(20_000);
    },
    without: {
      rule: 'a rival is alive where its worker was seen on any voter',
      // Its server was frozen, so that its worker has not looked there for long: that alone would be enough.
      replacements: [
        ...one('core/election/rivals.js', 'k.workersSeenAt.get(name) ?? never', 'never'),
        ...silenceIsSilence,
      ],
      shows: /^S[13]: |n2 is dead/,
    },
  },
  {
    name: 'I21 a standby that was frozen comes to itself just after the master was cut off',
    why: 'by its own clock it has not seen the master for long, and the others had until now',
    setting: { nodes: 3, names: '' },
    play(stage) {
      stage.writeAll();
      const { server } = stage.host('n2');
      server.freeze();
      stage.host('n2').stallWorker();
      stage.cut('n1', 'n2');
      stage.run(25_000);
      stage.cut('n1', 'n3');
      stage.setPaths(['n3'], ['n1'], 'reject');
      resetVotes(stage, 'n1', ['n3']);
      // What n3 has of the master is gone by then.
      stage.run(3000);
      server.thaw();
      stage.host('n2').resumeWorker();
      expectDead(stage, 'n1', 'promoting');
      stage.untilAnyMaster(['n2', 'n3']);
    },
    without: {
      rule: 'what a worker did not hear while it was frozen is no silence of the master',
      replacements: one('core/election/voting.js', 'k.seenByPeerAt, missedUntil(k)', 'k.seenByPeerAt'),
      shows: /^S[13]: |n1 is dead/,
    },
  },
  {
    name: 'I21 the ballots of a candidate get lost on the way, and another one fights for the same epoch',
    why: 'what stands there then is not its own ballot: who wrote it may have been promoted and has the votes until now',
    setting: { nodes: 5, names: '', neverMaster: ['n4', 'n5'] },
    play(stage) {
      const others = ['n3', 'n4', 'n5'];
      stage.powerOff('n1');
      stage.writeAll();
      for (const name of others) losesItsBallot(stage, name, 'n2', () => stage.isolate('n2'));
      stage.at('n3', 'promoting', () => {
        stage.isolate('n3');
        resetVotes(stage, 'n3', ['n4', 'n5']);
        stage.heal('n2', ['n4', 'n5']);
      });
      stage.untilDecision('n3', 'promoted');
      expectDead(stage, 'n3', 'promoting');
      stage.run(20_000);
    },
    without: {
      rule: 'a ballot is its own where the answer says so',
      replacements: one(
        'core/election/freeze-node.js',
        'e.sent.add(voter.name);',
        'e.sent.add(voter.name), (link.foughtFor = e.epoch);',
      ),
      shows: /^S[13]: |n3 is dead/,
    },
  },
];
