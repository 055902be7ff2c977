/** Switchovers that somebody disturbs between the stop of the master and the votes of its target (I28). */
import { openRequest } from '../../../src/core/plan.js';
import { withOpenRequest } from '../planned-work-model.js';
import type { Scenario } from './scenario.js';
import type { Stage } from './stage.js';

/** As `SELECT pgkeeper.switchover('n2')` on n1. */
function askSwitchover(stage: Stage, target: string): void {
  const { server } = stage.host('n1');
  const { row } = server;
  stage.expect('no request is open', row !== null && openRequest(row) === null);
  if (row === null) return;
  stage.say(`switchover to ${target}`);
  const { epoch } = row;
  server.writeRow(
    withOpenRequest(
      { ...row, version: row.version + 1 },
      { id: 1, kind: 'switchover', target, state: 'asked', epoch },
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
      stage.at('n1', 'handover-stopped', () => {
        stage.server('n2').freeze();
        stage.server('n1').start();
      });
      askSwitchover(stage, 'n2');
      stage.untilDecision('n1', 'handover-stopped');
      stage.until('the server of n1 is up', () => stage.server('n1').life === 'up');
      stage.expect('it came back as a standby', !stage.server('n1').writable);
      stage.server('n2').thaw();
      const master = stage.untilAnyMaster(['n1', 'n2', 'n3']);
      stage.writeThrough(master);
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
