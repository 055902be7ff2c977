/** Whose timeline is it: a new ballot is written on a node that has, or is about to make, what no row tells of (I17). */

import type { Recovery } from '../recovery.js';
import { mustServe, promotedWithoutItsRow } from './circumstances.js';
import { killWorkerAndGuard } from './guards.js';
import { one, type Scenario } from './scenario.js';
import type { Stage } from './stage.js';
import { stallDisk } from './streams.js';

/** What a standby gets from now on reaches it in the moment in which somebody points it elsewhere. */
function receivesAsItIsPointed(stage: Stage, name: string): void {
  stage.stallStream(name);
  const server = stage.server(name);
  const alterSystem = server.alterSystem.bind(server);
  server.alterSystem = (change) => {
    if (change.primaryConninfo !== undefined) stage.letStreamGo(name);
    alterSystem(change);
  };
}

/** The request arrives, and nothing comes of it. */
function endsAsItIsAsked(stage: Stage, name: string, end: () => void): void {
  const { recovery } = stage.server(name);
  const requestPromotion = recovery.requestPromotion.bind(recovery);
  recovery.requestPromotion = () => {
    recovery.requestPromotion = requestPromotion;
    stage.cluster.world.after(0, end);
  };
}

/** Its startup process waits for a disk from the request on. Returns what ends that. */
function waitsToPromote(recovery: Recovery): () => void {
  const requestPromotion = recovery.requestPromotion.bind(recovery);
  recovery.requestPromotion = () => {
    recovery.startupStep = () => undefined;
    requestPromotion();
  };
  return () => {
    Reflect.deleteProperty(recovery, 'startupStep');
    recovery.startupStep();
  };
}

/** It is promoted, and ends when that follower has its timeline, before its row is written. */
function endsBeforeItsRow(stage: Stage, name: string, follower: string): void {
  stage.untilDecision(name, 'promoting');
  stage.run(1);
  stage.host(name).stallWorker();
  stage.until(`${follower} has its timeline`, () => stage.server(follower).branch.tli === 2);
  stage.server(name).crash('kill -9');
  stage.host(name).resumeWorker();
}

export const origins: readonly Scenario[] = [
  {
    name: 'I17 a promotion that froze reaches the next candidate, and goes on from there to who follows that one',
    why: 'they have the ballot of that candidate, and its election made no timeline',
    setting: { nodes: 4, witnesses: 1, names: 'ANY 1 (n1, n2, n3, n4)', neverMaster: ['n4'] },
    play(stage) {
      const { server } = stage.host('n2');
      stage.writeAll();
      stage.run(1000);
      stage.powerOff('n1');
      stage.untilDecision('n2', 'promoting');
      stage.until('n2 has left recovery', () => server.writable);
      server.freeze();
      killWorkerAndGuard(stage.host('n2'));
      stage.untilBlockedOn('n3', 'n2');
      server.thaw();
      server.crash('kill -9');
      stage.host('n2').startWorker();
      mustServe(stage, 60_000);
    },
    without: {
      rule: 'the own stream of a candidate under the ballot of another one ends first, and those of all held before any is pointed here',
      replacements: [
        ...one('core/election/freeze.js', 'if (followsUnfinished(k, turn, e, self))', 'if (false)'),
        ...one('core/election/stopping.js', 'return allStopped || ', 'return true || '),
      ],
      shows: /L1/,
    },
  },
  {
    name: 'I17 nodes get a promotion in the moment in which the next candidate points them at itself',
    why: 'their last look was before it, and the new ballot says that it is of the new election',
    setting: { nodes: 5, names: 'ANY 1 (n1, n2, n3, n4, n5)', neverMaster: ['n4', 'n5'] },
    play(stage) {
      stage.writeAll();
      stage.run(1000);
      stage.at('n2', 'promoting', () => {
        for (const name of ['n3', 'n4', 'n5']) receivesAsItIsPointed(stage, name);
        stage.cluster.world.after(2, () => killWorkerAndGuard(stage.host('n2')));
      });
      stage.powerOff('n1');
      stage.untilDecision('n2', 'promoting');
      stage.untilDecision('n3', 'votes-held');
      stage.run(1000);
      stage.server('n2').crash('kill -9');
      stage.run(5000);
      stage.host('n2').startWorker();
      stage.untilAnyMaster(['n2', 'n3']);
    },
    without: {
      rule: 'a stream under another ballot ends before a new one is written',
      replacements: [
        ...one('core/election/freeze-node.js', 'if (mustStopFirst(link.obs, e.epoch))', 'if (false)'),
        ...one('core/election/stopping.js', 'return allStopped || ', 'return true || '),
        ...one('core/election/catch-up.js', '!followersStopped(k, turn, e)', 'false'),
        ...one('core/election/freeze.js', 'if (followsUnfinished(k, turn, e, self))', 'if (false)'),
      ],
      shows: /one of n2, n3 is master/,
    },
  },
  {
    name: 'I17 a server freezes as it is promoted, and leaves recovery when another master has pointed it at itself',
    why: 'it makes a timeline of the same number, and the ballot of that master stands beside it',
    setting: { nodes: 3, names: 'ANY 1 (n1, n2, n3)' },
    play(stage) {
      const { server } = stage.host('n2');
      const goOn = waitsToPromote(server.recovery);
      stage.at('n2', 'promoting', () => {
        stage.cluster.world.after(2, () => {
          server.freeze();
          killWorkerAndGuard(stage.host('n2'));
        });
      });
      stage.powerOff('n1');
      stage.untilDecision('n2', 'promoting');
      stage.run(5000);
      stage.boot('n1');
      const master = stage.untilAnyMaster(['n1', 'n3']);
      for (let i = 0; i < 20; i++) stage.write(master);
      stage.run(1000);
      server.thaw();
      stage.run(30);
      goOn();
      stage.run(5000);
      stage.host('n2').startWorker();
      stage.run(20_000);
    },
    without: {
      rule: 'a candidate tells before it is promoted whose timeline it makes, and that stays',
      replacements: one(
        'core/ranking.js',
        'const mayCome = promised !== null &&',
        'const mayCome = false &&',
      ),
      shows: /S5/,
    },
  },
  {
    name: 'I17 a machine is lost as its server is promoted, and what that one makes when it is elected again is followed',
    why: 'it tells still of the timeline of the election before, which it never made',
    setting: { nodes: 3, names: 'ANY 1 (n2, n3)', neverMaster: ['n3'] },
    play(stage) {
      endsAsItIsAsked(stage, 'n2', () => stage.powerOff('n2'));
      stage.powerOff('n1');
      stage.until('n2 is lost', () => !stage.host('n2').powered);
      stage.run(2000);
      stage.boot('n2');
      endsBeforeItsRow(stage, 'n2', 'n3');
      stage.untilMaster('n2');
    },
    without: {
      rule: 'who follows a candidate is told of the timeline that this election makes',
      replacements: one(
        'core/election/freeze-node.js',
        'const unfinished = unfinishedOf(own);',
        'const unfinished = originsToKeep(own)[0] ?? null;',
      ),
      shows: /n2 is master/,
    },
  },
  {
    name: 'I17 a server is lost as it is promoted, comes back, and follows the next one that is promoted',
    why: 'what it was about to make has the number of what it gets from that one',
    setting: { nodes: 3, names: 'ANY 1 (n2, n3)' },
    play(stage) {
      endsAsItIsAsked(stage, 'n2', () => stage.server('n2').crash('kill -9'));
      stage.powerOff('n1');
      stage.untilDecision('n2', 'promoting');
      endsBeforeItsRow(stage, 'n3', 'n2');
      stage.untilMaster('n3');
    },
  },
  {
    name: 'I17 a server that has a timeline without a row is late to make the next one, and the next candidate has pointed it at itself',
    why: 'the ballot has to tell of both timelines: the second has the number of the one that this candidate makes',
    setting: { nodes: 5, names: 'ANY 3 (n1, n2, n3, n4, n5)', neverMaster: ['n5'] },
    play(stage) {
      promotedWithoutItsRow(stage, ['n3', 'n4', 'n5']);
      stage.powerOff('n2');
      stage.heal('n2');
      stage.host('n4').stallWorker();
      const { recovery } = stage.server('n3');
      const goOn = waitsToPromote(recovery);
      stage.until('n3 is asked to promote', () => recovery.promoteRequested);
      killWorkerAndGuard(stage.host('n3'));
      stage.host('n4').resumeWorker();
      stage.untilDecision('n4', 'promoting');
      stage.run(1);
      goOn();
      stage.until('n3 has left recovery', () => stage.server('n3').writable);
      stage.boot('n1');
      stage.untilMaster('n4');
      for (let i = 0; i < 20; i++) stage.write('n4');
      stage.run(3000);
      stage.server('n3').crash('kill -9');
      stage.run(1000);
      stage.host('n3').startWorker();
      stage.run(20_000);
    },
    without: {
      rule: 'a candidate tells whose timeline it makes, also where it has one without a row already',
      replacements: one('core/election/promotion.js', '[unfinished, promised]', '[unfinished]'),
      shows: /S5/,
    },
  },
  {
    name: 'I17 nodes get a promotion in the moment in which the next candidate streams from one of them what it lacks',
    why: 'by its last look that node had no promotion, and what comes from there would pass for one of the new election',
    setting: { nodes: 5, names: 'ANY 2 (n1, n2, n3, n4, n5)', neverMaster: ['n4', 'n5'] },
    play(stage) {
      const goOn = stallDisk(stage.server('n3'));
      stage.writeThrough('n1');
      stage.run(100);
      stage.at('n2', 'promoting', () => {
        for (const name of ['n4', 'n5']) receivesAsItIsPointed(stage, name);
        stage.cluster.world.after(2, () => {
          killWorkerAndGuard(stage.host('n2'));
          stage.cut('n2', 'n3');
        });
      });
      stage.powerOff('n1');
      stage.at('n3', 'peer-ahead', goOn);
      stage.untilDecision('n3', 'peer-ahead');
      stage.run(200);
      stage.powerOff('n2');
      mustServe(stage, 60_000);
    },
    without: {
      rule: 'a stream that a candidate would get a promotion by ends before it streams from there, as a look since then shows',
      replacements: [
        ...one('core/election/catch-up.js', ' || mustStopFirst(sourceObs, e.epoch)', ''),
        ...one(
          'core/election/stopping.js',
          'const isNew = seenSince(link, e.phaseAt);',
          'const isNew = true;',
        ),
      ],
      shows: /L1/,
    },
  },
];
