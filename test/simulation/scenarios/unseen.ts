/** With sync off a master that was not seen for long may have been at work all the same: who cannot look sees nothing (I21). */
import { expectDead, resetVotes, takesNobody } from './circumstances.js';
import { one, type Scenario } from './scenario.js';
import { stopsStreaming } from './streams.js';

/** A session that is gone after lease_ttl passes for one that ended by its silence. */
const anyEnd = one('core/lease-trace.js', '&& trace.seenAt >= lastWordAt(k, trace.saidAt)', '');

/** What was said on a voter while a worker could not look there counts as not said. */
export const silenceIsSilence = [
  ...one(
    'core/votes/lease.js',
    ', ...links.map((link) => (link === undefined ? k.now : missedOn(k, link)))',
    '',
  ),
  ...anyEnd,
];

const noLastLook = one('core/lease-trace.js', 'return trace.seenAt < at ? at : null;', 'return null;');

export const unseen: readonly Scenario[] = [
  {
    name: 'I21 a standby that was cut off from all is back just after the master was cut off from the other',
    why: 'it has not seen the master for long, and that one had the vote of the other until now',
    setting: { nodes: 3, names: '' },
    play(stage) {
      stage.writeAll();
      stage.isolate('n2');
      stage.run(25_000);
      stage.cut('n1', 'n3');
      resetVotes(stage, 'n1', ['n3']);
      stage.heal('n2', 'n3');
      expectDead(stage, 'n1', 'promoting');
      stage.untilAnyMaster(['n2', 'n3']);
      stage.run(2000);
    },
    without: {
      rule: 'what was said on a voter while a worker could not look there is no silence',
      replacements: silenceIsSilence,
      shows: /^S[13]: |n1 is dead/,
    },
  },
  {
    name: 'I21 a standby that was started while it was cut off is back just after who was elected is cut off',
    why: 'it never saw the worker of that one on any voter, and that one had the votes until now',
    setting: { nodes: 5, names: '', neverMaster: ['n4', 'n5'] },
    play(stage) {
      const others = ['n4', 'n5'];
      stage.isolate('n3');
      stage.host('n3').killWorker();
      stage.run(1000);
      stage.host('n3').startWorker();
      stage.run(60_000);
      stage.at('n2', 'promoting', () => {
        stage.isolate('n2');
        resetVotes(stage, 'n2', others);
        stage.heal('n3', others);
      });
      stage.powerOff('n1');
      stage.writeAll();
      stage.untilDecision('n2', 'promoted');
      expectDead(stage, 'n2', 'promoting');
      stage.run(20_000);
    },
    without: {
      rule: 'what was said on a voter while a worker could not look there is no silence',
      replacements: silenceIsSilence,
      shows: /^S[13]: |n2 is dead/,
    },
  },
  {
    name: 'I21 a standby suspects a master that it cannot reach, and who is elected meanwhile is cut off',
    why: 'it has looked at that one since, and saw a standby; the silence was of the master before',
    setting: { nodes: 5, names: 'ANY 1 (n1, n2, n3, n4, n5)', neverMaster: ['n4', 'n5'] },
    play(stage) {
      stopsStreaming(stage, 'n3');
      takesNobody(stage, 'n1', ['n2', 'n4', 'n5']);
      stage.untilDecision('n3', 'master-suspected');
      stage.server('n1').crash('killed');
      stage.until('n3 knows that n2 is master', () => stage.row('n3').master === 'n2');
      stage.isolate('n2');
      resetVotes(stage, 'n2', ['n3', 'n4', 'n5']);
      stage.neverMaster(['n3'], 12_000);
      stage.untilMaster('n3', 8000);
    },
    without: {
      rule: 'a suspicion ends with the epoch of the master that it is of',
      replacements: one('core/watch/suspicion.js', 'if (role.suspicion?.epoch !== epoch)', 'if (false)'),
      shows: /one of n3 becomes master/,
    },
  },
  {
    name: 'I21 T is one keepalive_time, and the votes of the master are reset between two looks at the voters',
    why: 'its worker said something after the look before, and nobody has seen that',
    setting: {
      nodes: 3,
      names: '',
      settings: { keepaliveTimeMs: 5000, keepaliveCount: 1, leaseTtlMs: 3333 },
    },
    play(stage) {
      stage.writeAll();
      stage.run(5100);
      stage.cut('n1', ['n2', 'n3']);
      resetVotes(stage, 'n1', ['n2', 'n3']);
      expectDead(stage, 'n1', 'promoting');
      stage.untilAnyMaster(['n2', 'n3']);
      stage.run(2000);
    },
    without: {
      rule: 'no lease fits between two looks at a voter',
      replacements: [
        ...silenceIsSilence,
        ...noLastLook,
        ...one('core/links.js', 'Math.min(leaseTtlMs * 0.4, ', 'Math.max(0 * leaseTtlMs, '),
      ],
      shows: /^S[13]: |n1 is dead/,
    },
  },
  {
    name: 'I21 the replay of the only candidate takes longer than a round of its election',
    why: 'nobody but this worker could say anything on the voters whose votes it held all the while',
    setting: { nodes: 3, names: '', neverMaster: ['n3'] },
    play(stage) {
      const server = stage.server('n2');
      server.replayDelayMs = 28_000;
      stage.write('n1');
      stage.run(100);
      server.replayDelayMs = 0;
      stage.powerOff('n1');
      stage.untilMaster('n2', 34_000);
    },
    without: {
      rule: 'voters are looked at while an election takes long',
      replacements: one('core/election/election.js', 'watchOthers(k, turn, e);', ''),
      shows: /n2 is master/,
    },
  },
  {
    name: 'I21 the worker of a silent master says something late, and its vote is reset before the next look',
    why: 'the look before was older than that, and the session may pass for one that ended by its silence',
    setting: { nodes: 3, names: '' },
    play(stage) {
      stage.cut('n1', 'n2');
      const session = [...stage.server('n3').sessions].find(({ owner }) => owner === 'n1');
      stage.until('n1 renews its vote on n3', () => (session?.idleSince ?? 0) > stage.now - 1.5);
      stage.run(20);
      stage.host('n1').stallWorker();
      stage.run(8500);
      stage.host('n1').resumeWorker();
      stage.run(50);
      stage.cut('n1', 'n3');
      resetVotes(stage, 'n1', ['n3']);
      stage.writeAll();
      expectDead(stage, 'n1', 'promoting');
      stage.untilAnyMaster(['n2', 'n3']);
      stage.run(2000);
    },
    without: {
      rule: 'a session that was seen while its worker could still say something has not ended by its silence',
      // The last look before that end would find out by itself, if it came in time.
      replacements: [...anyEnd, ...noLastLook],
      shows: /^S[13]: |n1 is dead/,
    },
  },
  {
    name: 'I21 a master falls silent for good, and its sessions end by their silence',
    why: 'a last look at each of them has shown that nothing was said, so T is counted from the last word',
    setting: { nodes: 3, names: '', neverMaster: ['n3'] },
    play(stage) {
      stage.run(3000);
      stage.isolate('n1');
      stage.untilMaster('n2', 17_000);
    },
    without: {
      rule: 'a voter is looked at once more before the session of a silent master there ends',
      replacements: noLastLook,
      shows: /n2 is master/,
    },
  },
];
