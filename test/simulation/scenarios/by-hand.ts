/** `pgkeeper failover --accept-data-loss`: what an operator's word may give up, and what not. */
import { one, type Scenario } from './scenario.js';
import type { Stage } from './stage.js';

function acceptLoss(stage: Stage, ...names: readonly string[]): void {
  for (const name of names) stage.server(name).operatorWord = true;
}

function takeBack(stage: Stage, ...names: readonly string[]): void {
  for (const name of names) stage.server(name).operatorWord = null;
}

export const byHand: readonly Scenario[] = [
  {
    name: 'I6 an operator accepts the loss of voters that were cut off a moment ago',
    why: 'a master among them may hold its lease; given up is only who was silent for T',
    setting: { nodes: 3, names: 'ANY 1 (n1, n2, n3)' },
    play(stage) {
      stage.writeAll();
      stage.cut('n2', ['n1', 'n3']);
      acceptLoss(stage, 'n2');
      stage.neverMaster(['n2'], 8000);
      takeBack(stage, 'n2');
      stage.run(3000);
      stage.heal('n2');
      stage.untilMaster('n1');
    },
  },
  {
    name: 'I6 two operators accept the loss at once, on the two nodes that are left',
    why: 'each of them may count both: the majority of two is two, whatever quorum says',
    setting: { nodes: 5, names: '' },
    play(stage) {
      const left = ['n4', 'n5'];
      stage.powerOff('n1', 'n2', 'n3');
      stage.run(40_000);
      stage.writeAll();
      let over = false;
      for (const name of left)
        stage.at(name, 'operator-failover', () => {
          if (!over) stage.cut('n4', 'n5');
        });
      acceptLoss(stage, ...left);
      stage.run(5000);
      takeBack(stage, ...left);
      stage.run(5000);
      stage.expectNotDecided('promoting');
      over = true;
      stage.heal('n4', 'n5');
      acceptLoss(stage, 'n4');
      stage.untilMaster('n4');
      takeBack(stage, 'n4');
      stage.writeThrough('n4');
    },
  },
  {
    name: 'no standby has a priority above 0, and an operator names one when the master is lost',
    why: 'priority keeps a node from standing by itself; nothing is lost by its being named',
    setting: { nodes: 3, names: 'ANY 1 (n1, n2, n3)', neverMaster: ['n2', 'n3'] },
    play(stage) {
      const commit = stage.writeThrough('n1');
      stage.powerOff('n1');
      stage.neverMaster(['n2', 'n3'], 40_000);
      stage.expectDecided('election-aborted', 'n2');
      // Without any loss accepted.
      stage.server('n2').operatorWord = false;
      stage.untilMaster('n2');
      stage.expect('the commit is there', stage.has('n2', commit));
      takeBack(stage, 'n2');
      stage.writeThrough('n2');
    },
    without: {
      rule: "an operator's word passes over the ranking, in which priority 0 has no place",
      replacements: one('core/election/candidacy.js', '!e.byOperator && !goesFirst', '!goesFirst'),
      shows: /n2 is master/,
    },
  },
];
