/** Votes and the lease: when a vote may be given (A10), when it is given back (B3, B6), who may still believe in one (A11, A12). */
import { Connection } from '../network.js';
import { expectDead, resetVotes, seemsDead, takesNobody } from './circumstances.js';
import { killWorkerAndGuard, withoutGuard } from './guards.js';
import { one, type Scenario } from './scenario.js';
import type { Stage } from './stage.js';
import { stopsStreaming } from './streams.js';

/** A session of that worker that stays on the voter: its end got lost. */
function leaveSession(stage: Stage, voter: string, worker: string): void {
  const { network } = stage.cluster;
  const connection = new Connection(network, stage.host(worker), stage.server(voter).machine);
  stage.server(voter).accept(connection, 'worker', 'app', (session) => {
    if (typeof session !== 'string') session.owner = worker;
  });
}

export const votes: readonly Scenario[] = [
  {
    name: 'B6 the candidate loses its own session after pg_promote was sent',
    why: 'its server may be writable at any moment: there is no way back but fencing, and nobody else may be elected before',
    setting: { nodes: 5, names: '' },
    play(stage) {
      stage.writeAll();
      stage.powerOff('n1');
      stage.server('n2').diesAfterMs = 2000;
      // Its session ends before the epoch is written, and what its worker sends then is through when it is cut off.
      stage.at('n2', 'promoted', () => {
        stage.endSessionOn('n2', 'n2');
        stage.cluster.world.after(5, () => stage.isolate('n2'));
      });
      stage.untilDecision('n2', 'promoted');
      for (const name of ['n3', 'n4', 'n5'])
        stage.at(name, 'votes-held', () => stage.expect('n2 is dead', !stage.server('n2').writable));
      stage.untilDecision('n2', 'server-retired');
      stage.heal('n2');
      stage.untilAnyMaster(['n1', 'n2', 'n3', 'n4', 'n5']);
      stage.run(5000);
    },
    without: {
      rule: 'a candidate that may be writable keeps its votes until its server is dead',
      replacements: one('core/election/election.js', 'if (!mayBeWritable)', 'if (true)'),
      shows: /^S[13]: |n2 is dead/,
    },
  },
  {
    name: 'B3 the votes are given back only when every process of it is dead',
    why: 'a hanging server may go on at any moment',
    setting: { nodes: 3, names: '' },
    play(stage) {
      withoutGuard(stage.host('n1'));
      stage.writeAll();
      stage.server('n1').freeze();
      // Ending it takes long.
      stage.at('n1', 'server-frozen', () => stage.host('n1').stallWorker());
      stage.untilDecided('n1', 'server-frozen');
      for (const name of ['n2', 'n3'])
        stage.at(name, 'votes-held', () => stage.expect('n1 is dead', !stage.server('n1').writable));
      stage.run(3000);
      // It wakes up where nobody can tell it anything.
      stage.cut('n1', ['n2', 'n3']);
      stage.server('n1').thaw();
      stage.run(500);
      stage.host('n1').resumeWorker();
      stage.untilAnyMaster(['n1', 'n2', 'n3'], 40_000);
    },
    without: {
      rule: 'votes are given back after the end of the server, not before',
      replacements: one(
        'core/own-server/own-server.js',
        "turn.effects.push({ kind: 'retire-server', names: fencedNames(k) });\n}\n/** The server answers again",
        "turn.effects.push({ kind: 'retire-server', names: fencedNames(k) });\n    releaseVotes(k, turn);\n}\n/** The server answers again",
      ),
      shows: /n1 is dead/,
    },
  },
  {
    name: 'A10 a voter restarts and forgets the lock while its holder still counts on it',
    why: 'the holder believes in the vote until lease_ttl after its last renewal',
    setting: { nodes: 3, names: '' },
    play(stage) {
      // n2 has long lost n1, and n3 does not see it either: n1 is full, and nothing streams. Its worker still renews on n3.
      stopsStreaming(stage, 'n3');
      stage.cut('n1', 'n2');
      stage.server('n1').connectionsFull = true;
      stage.untilDecision('n2', 'votes-refused');
      stage.cut('n1', 'n3');
      stage.server('n3').restartAfterBackendCrash();
      stage.server('n1').connectionsFull = false;
      stage.writeAll();
      for (const name of ['n2', 'n3'])
        stage.at(name, 'votes-held', () => stage.expect('n1 is dead', !stage.server('n1').writable));
      stage.untilAnyMaster(['n2', 'n3']);
      stage.run(2000);
    },
    without: {
      rule: 'a voter younger than lease_ttl gives its vote to nobody',
      replacements: one(
        'core/votes/lease.js',
        'if (birthAgeMs >= k.settings.leaseTtlMs)',
        'if (birthAgeMs >= 0)',
      ),
      shows: /^S1: |n1 is dead/,
    },
  },
  {
    name: 'A10 a node restarts, and its own worker stands',
    why: 'another held its vote, and that was no secret to anybody but the session that ended',
    setting: { nodes: 3, names: '', neverMaster: ['n2'] },
    play(stage) {
      stopsStreaming(stage, 'n3');
      stage.writeAll();
      stage.cut('n1', 'n2');
      takesNobody(stage, 'n1');
      stage.untilDecision('n3', 'votes-refused');
      stage.cut('n1', 'n3');
      stage.server('n3').restartAfterBackendCrash();
      stage.at('n3', 'votes-held', () => stage.expect('n1 is dead', !stage.server('n1').writable));
      stage.untilMaster('n3');
      stage.run(2000);
    },
  },
  {
    name: 'A11 the worker of the master is killed, then a partition',
    why: 'its votes are free at once, and nobody beside the server ends it',
    setting: { nodes: 5, names: 'ANY 1 (n1, n2, n3)' },
    play(stage) {
      killWorkerAndGuard(stage.host('n1'));
      stage.cut(['n1', 'n3'], ['n2', 'n4', 'n5']);
      stage.neverMaster(['n2', 'n4', 'n5'], 30_000);
      stage.untilBlockedOn('n2', 'n3');
      const commit = stage.writeThrough('n1');
      stage.expectOn(commit, ['n1', 'n3']);
      stage.heal(['n1', 'n3'], ['n2', 'n4', 'n5']);
    },
    without: {
      rule: '|R| - k + 1 members of R must be frozen',
      replacements: one(
        'core/ranking.js',
        'registry.syncMembers.length - registry.syncNeeded + 1',
        'registry.syncMembers.length - registry.syncNeeded',
      ),
      shows: /^S[12]: |becomes master/,
    },
  },
  {
    name: 'A11 the same with sync off, and its guard is there',
    why: 'only the end of the server keeps it from acknowledging beside the next master',
    setting: { nodes: 3, names: '' },
    play(stage) {
      stage.writeAll();
      stage.host('n1').killWorker();
      stage.isolate('n1');
      for (const name of ['n2', 'n3'])
        stage.at(name, 'votes-held', () => stage.expect('n1 is dead', !stage.server('n1').writable));
      stage.untilAnyMaster(['n2', 'n3']);
      stage.run(2000);
    },
    without: {
      rule: 'a guard outside the worker ends the server when the lease is over',
      replacements: one(
        'core/guard-deadline.js',
        'return endAt(Math.min(leaseUntil(k) + graceMs, silentUntil), true);\n        case',
        "return { kind: 'stand-down' };\n        case",
      ),
      shows: /^S1: |n1 is dead/,
    },
  },
  {
    name: 'A12 the voters end the sessions of a master before lease_ttl, and it is not told',
    why: 'a short tcp_user_timeout frees the votes while their holder counts them from the last answer',
    setting: { nodes: 3, names: '' },
    play(stage) {
      stage.writeAll();
      stage.run(5000);
      // What n1 sends is lost; who asks n1 is refused at once, by a firewall: the evidence of a crash.
      seemsDead(stage, 'n1', ['n2', 'n3']);
      expectDead(stage, 'n1', 'promoting');
      stage.untilAnyMaster(['n2', 'n3']);
      stage.expectDecided('master-crashed', 'n2');
      stage.expectDecided('election-aborted', 'n2');
    },
    without: {
      rule: 'with sync off an election waits for T unless the master certainly knows that it lost its votes',
      replacements: one('core/election/voting.js', 'if (k.now < silentAt) {', 'if (false) {'),
      shows: /^S1: |n1 is dead/,
    },
  },
  {
    name: 'A12 the same, and whoever stands has not reached the master itself for long',
    why: 'the others streamed from it until now, and it had renewed its votes on them',
    setting: { nodes: 5, names: '' },
    play(stage) {
      const others = ['n3', 'n4', 'n5'];
      stage.writeAll();
      stage.cut('n1', 'n2');
      stage.run(11_000);
      seemsDead(stage, 'n1', others);
      expectDead(stage, 'n1', 'promoting');
      stage.untilAnyMaster(['n2', ...others]);
    },
    without: {
      rule: 'a WAL receiver that was seen to hear the master counts as a sign of life also when it is gone',
      replacements: [
        ...one(
          'core/watch/suspicion.js',
          'k.seenByPeerAt = Math.max(k.seenByPeerAt, arrived.sentAt - Math.max(0, age));',
          '',
        ),
        // The trace of its votes alone would do.
        ...one('core/lease-trace.js', 'k.seenByPeerAt = Math.max(k.seenByPeerAt, saidAt);', ''),
        ...one(
          'core/lease-trace.js',
          'k.seenByPeerAt = Math.max(k.seenByPeerAt, Math.min(k.now, endsAt));',
          '{}',
        ),
      ],
      shows: /^S1: |n1 is dead/,
    },
  },
  {
    name: 'A11 the server of the master hangs with sync off, and then its worker is killed',
    why: 'the lease was renewed meanwhile, and others count T from when they last saw the server',
    setting: { nodes: 3, names: '' },
    play(stage) {
      stage.writeAll();
      stage.server('n1').freeze();
      stage.run(7000);
      stage.host('n1').killWorker();
      for (const name of ['n2', 'n3'])
        stage.at(name, 'promoting', () => stage.expect('n1 is dead', !stage.server('n1').writable));
      stage.untilAnyMaster(['n2', 'n3']);
    },
    without: {
      rule: 'the end that the guard was told lies before T after the last answer of the server, too',
      replacements: [
        ...one(
          'core/guard-deadline.js',
          'const silentUntil = ownLink(k).lastAlive + silenceBoundMs(k);',
          'const silentUntil = Infinity;',
        ),
        // Without the trace of its votes nobody would wait either.
        ...one('core/lease-trace.js', 'k.seenByPeerAt = Math.max(k.seenByPeerAt, saidAt);', ''),
        ...one(
          'core/lease-trace.js',
          'k.seenByPeerAt = Math.max(k.seenByPeerAt, Math.min(k.now, endsAt));',
          '{}',
        ),
      ],
      shows: /^S1: |n1 is dead/,
    },
  },
  {
    name: 'A12 the same with an old session of its worker left on every voter',
    why: 'it was given up behind a cut long ago: that it has no lock says nothing',
    setting: { nodes: 3, names: '' },
    play(stage) {
      const voters = ['n2', 'n3'];
      for (const voter of voters) leaveSession(stage, voter, 'n1');
      stage.run(20_000);
      stage.writeAll();
      stage.cut('n1', voters);
      stage.setPaths(voters, ['n1'], 'reject');
      for (const voter of voters) {
        for (const session of [...stage.server(voter).sessions])
          if (session.owner === 'n1' && session.locked)
            stage.server(voter).endSession(session, 'cut', 'reset');
        stage.resetStream(voter);
        stage.at(voter, 'promoting', () => stage.expect('n1 is dead', !stage.server('n1').writable));
      }
      stage.untilAnyMaster(voters);
    },
  },
  {
    name: 'A12 the votes of a candidate are reset when it promotes, and the former master is back',
    why: 'with sync off it acknowledges at once, and nobody has its row: only its ballot tells of it',
    setting: { nodes: 3, names: '' },
    play(stage) {
      stage.writeAll();
      stage.at('n2', 'promoting', () => {
        stage.isolate('n2');
        resetVotes(stage, 'n2', ['n3']);
      });
      stage.server('n1').crash('kill -9');
      stage.untilDecision('n2', 'promoted');
      for (const name of ['n1', 'n3'])
        stage.at(name, 'promoting', () => stage.expect('n2 is dead', !stage.server('n2').writable));
      stage.untilAnyMaster(['n1', 'n3']);
      stage.expectDecided('election-rivals');
    },
    without: {
      rule: 'with sync off the lease of whoever fought for an epoch is waited for',
      replacements: one('core/election/freeze.js', 'e.epoch === 0 && awaitRivals(k, turn, e)', 'false'),
      shows: /^S[13]: |n2 is dead/,
    },
  },
];
