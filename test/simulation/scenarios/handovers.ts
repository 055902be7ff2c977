/** Switchovers that somebody disturbs between the stop of the master and the votes of its target (I28). */
import { openRequest } from '../../../src/core/plan.js';
import { withOpenRequest } from '../planned-work-model.js';
import { one, type Scenario } from './scenario.js';
import type { Stage } from './stage.js';

/** As `SELECT pgkeeper.switchover('n2')` on n1. */
function askSwitchover(stage: Stage, target: string, id = 1): void {
  const { server } = stage.host('n1');
  const { row } = server;
  stage.expect('no request is open', row !== null && openRequest(row) === null);
  if (row === null) return;
  stage.say(`switchover to ${target}`);
  const { epoch } = row;
  server.writeRow(
    withOpenRequest(
      { ...row, version: row.version + 1 },
      { id, kind: 'switchover', target, state: 'asked', epoch },
    ),
  );
  stage.host('n1').hint();
}

export const handovers: readonly Scenario[] = [
  {
    name: 'I28 a supervisor starts the master again while its target is asked',
    why: 'it would take writes under the old lease which the target is then said to have',
    setting: { nodes: 3, names: '' },
    play(stage) {
      stage.writeAll();
      stage.at('n1', 'handover-stopped', () => {
        stage.server('n2').freeze();
        stage.server('n1').start();
      });
      askSwitchover(stage, 'n2');
      stage.untilDecision('n1', 'handover-stopped');
      stage.until('the server of n1 is up', () => stage.server('n1').life === 'up');
      stage.run(400);
      stage.expect('it came back as a standby', !stage.server('n1').writable);
      stage.server('n2').thaw();
      const master = stage.untilAnyMaster(['n1', 'n2', 'n3']);
      stage.writeThrough(master);
    },
  },
  {
    name: 'I28 the same, and the target never answers',
    why: 'the standby that was started is not the server which this worker starts again as the master',
    setting: { nodes: 5, names: '' },
    play(stage) {
      const { epoch } = stage.row('n1');
      stage.at('n1', 'handover-stopped', () => {
        stage.cut('n1', 'n2');
        stage.server('n1').start();
      });
      askSwitchover(stage, 'n2');
      stage.run(1000);
      // A checkpoint may fail.
      if (stage.decisions('switchover-failed').length > 0) askSwitchover(stage, 'n2', 2);
      stage.untilDecision('n1', 'handover-broken-off');
      stage.untilDecision('n1', 'server-back');
      stage.expect('it is writable', stage.server('n1').writable);
      stage.untilMaster('n1');
      stage.expect('under the same lease', stage.row('n1').epoch === epoch);
      stage.heal('n1', 'n2');
    },
    without: {
      rule: 'a handover that is broken off is over when its server is seen to be writable',
      replacements: one('core/handover/handover-stop.js', ' && own.obs?.inRecovery === false', ''),
      shows: /it is writable|n1 is master/,
    },
  },
  {
    name: 'I28 a handover that is broken off leaves the master writable',
    why: 'the stop leaves a sign in the files that only a standby may start there',
    setting: { nodes: 3, names: '' },
    play(stage) {
      const { epoch } = stage.row('n1');
      stage.at('n1', 'handing-over', () => stage.stallStream('n2'));
      askSwitchover(stage, 'n2');
      stage.untilDecision('n1', 'handover-broken-off');
      stage.untilMaster('n1');
      stage.expect('under the same lease', stage.row('n1').epoch === epoch);
      stage.writeThrough('n1');
    },
  },
];
