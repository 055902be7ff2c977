/** Votes and the lease: when a vote may be given (A10), when it is given back (B3, B6), who may still believe in one (A11, A12). */
import { one, type Scenario } from './scenario.js';

export const votes: readonly Scenario[] = [
  {
    name: 'B6 the candidate loses its own session after pg_promote was sent',
    why: 'its server may be writable at any moment: there is no way back but fencing, and nobody else may be elected before',
    setting: { nodes: 5, names: '' },
    play(stage) {
      stage.writeAll();
      stage.powerOff('n1');
      stage.server('n2').diesAfterMs = 2000;
      // Its session ends, and what was sent is through when it is cut off.
      stage.at('n2', 'promoted', () => {
        stage.cluster.world.after(0.5, () => stage.endSessionOn('n2', 'n2'));
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
      replacements: one('core/election.js', 'if (!mayBeWritable)', 'if (true)'),
      shows: /^S[13]: |n2 is dead/,
    },
  },
  {
    name: 'B3 the votes are given back only when every process of it is dead',
    why: 'a hanging server may go on at any moment',
    setting: { nodes: 3, names: '' },
    play(stage) {
      stage.server('n1').freeze();
      // Ending it takes long.
      stage.at('n1', 'server-frozen', () => stage.host('n1').stallWorker());
      stage.untilDecided('n1', 'server-frozen');
      for (const name of ['n2', 'n3'])
        stage.at(name, 'votes-held', () => stage.expect('n1 is dead', !stage.server('n1').writable));
      stage.run(3000);
      stage.host('n1').resumeWorker();
      stage.untilAnyMaster(['n1', 'n2', 'n3'], 40_000);
    },
    without: {
      rule: 'votes are given back after the end of the server, not before',
      replacements: one(
        'core/own-server.js',
        "turn.effects.push({ kind: 'retire-server', names: fencedNames(k) });\n}\n/** The server was started",
        "turn.effects.push({ kind: 'retire-server', names: fencedNames(k) });\n    releaseVotes(k, turn);\n}\n/** The server was started",
      ),
      shows: /n1 is dead/,
    },
  },
];
