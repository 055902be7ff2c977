/** What an old decision or a lost epoch may still do: late statements (I5, I9), ballots (I7), rows that get nowhere (I10). */
import { ballotOf } from '../../../src/core/following.js';
import { promotedWithoutItsRow } from './circumstances.js';
import { killWorkerAndGuard } from './guards.js';
import { one, type Scenario } from './scenario.js';

export const oneHistory: readonly Scenario[] = [
  {
    name: 'I5 a master pointed a node at itself, and that arrives when another is being promoted',
    why: 'a message may be under way for longer than the lease of its sender',
    setting: { nodes: 5, names: 'ANY 1 (n2, n3)', neverMaster: ['n3', 'n4', 'n5'] },
    play(stage) {
      const { server } = stage.host('n3');
      stage.at('n1', 'node-following', () => {
        stage.isolate('n1');
        stage.cluster.world.after(5, () => killWorkerAndGuard(stage.host('n1')));
      });
      // Somebody pointed it elsewhere by hand; the master points it back.
      server.alterSystem({ primaryConninfo: 'host=n2 port=5432 user=keeper application_name=n3' });
      server.reload();
      stage.untilDecision('n1', 'node-following');
      stage.at('n2', 'promoting', () => stage.cluster.world.after(1, () => stage.heal('n1', 'n3')));
      stage.untilDecision('n2', 'promoting');
      stage.run(8);
      stage.write('n1');
      stage.untilMaster('n2');
      stage.writeThrough('n2');
      stage.run(5000);
    },
  },
  {
    name: 'I9 the row of an old epoch arrives at the witness after the one of a new epoch',
    why: 'whoever takes the vote of the witness believes what it keeps',
    setting: { nodes: 2, witnesses: 1, names: '' },
    play(stage) {
      stage.cut('n1', 'w1');
      // A change of the registry on its way to the witness, and then nobody is left to send it again.
      const row = stage.row('n1');
      stage.server('n1').writeRow({ ...row, version: row.version + 1 });
      stage.run(2000);
      killWorkerAndGuard(stage.host('n1'));
      stage.server('n1').crash('kill -9');
      stage.untilDecided('n2', 'master-ready');
      stage.run(5000);
      stage.heal('n1', 'w1');
      stage.run(3);
      stage.powerOff('n2');
      stage.server('n1').start();
      stage.host('n1').startWorker();
      stage.writeAll();
      stage.run(30_000);
      stage.expect('n1 is not master', !stage.server('n1').writable);
      stage.boot('n2');
      stage.untilMaster('n2');
    },
  },
  {
    name: 'I7 a node is brought back behind the old master after it was counted in an election',
    why: 'the ballot it carries is all that tells the next election of that epoch',
    setting: { nodes: 5, names: '' },
    play(stage) {
      stage.host('n3').killWorker();
      const { server } = stage.host('n3');
      server.alterSystem({ fenced: true, primaryConninfo: '' });
      server.reload();
      stage.run(5000);
      stage.powerOff('n1');
      stage.cut('n5', ['n2', 'n3', 'n4']);
      stage.at('n2', 'promoting', () => stage.cut(['n2', 'n4'], ['n1', 'n3', 'n5']));
      stage.untilDecision('n2', 'promoted');
      stage.run(30_000);
      stage.heal('n3', 'n5');
      stage.host('n1').powerOn();
      stage.server('n1').start();
      stage.until('the server of n1 is up', () => stage.server('n1').life === 'up');
      stage.host('n3').startWorker();
      stage.run(15_000);
      stage.host('n1').startWorker();
      stage.untilMaster('n1');
      stage.expect('in an epoch above the one of n2', stage.row('n1').epoch > stage.row('n2').epoch);
      stage.writeThrough('n1');
      stage.run(2000);
      stage.powerOff('n1');
      stage.heal(['n2', 'n4'], ['n3', 'n5']);
      stage.writeAll();
      const master = stage.untilAnyMaster(['n3', 'n4', 'n5']);
      stage.expect('of the newest epoch', stage.row(master).epoch > 2);
    },
  },
  {
    name: 'I10 the row that says degraded gets nowhere',
    why: 'who has not heard of it takes a member of the old set for enough',
    setting: { nodes: 5, names: 'ANY 1 (n2, n3)' },
    play(stage) {
      stage.writeAll();
      stage.at('n1', 'sync-change', () => stage.cut('n1', ['n4', 'n5']));
      for (const name of ['n2', 'n3']) stage.server(name).stop(() => undefined);
      stage.untilDecision('n1', 'sync-change');
      stage.run(3000);
      stage.expectNotDecided('sync-changed');
    },
  },
  {
    name: 'I7 nodes leave a promotion that got nowhere, right after the next election was fought on them',
    why: 'the ballot is the only trace of that election',
    setting: { nodes: 5, names: 'ANY 1 (n1, n2, n3, n4, n5)' },
    play(stage) {
      const others = ['n3', 'n4', 'n5'];
      promotedWithoutItsRow(stage, others);
      const ballot = (name: string) => ballotOf(stage.server(name).configuration.primaryConninfo);
      const highest = new Map(others.map((name) => [name, ballot(name)]));
      stage.never('a ballot is overwritten by an older one', 20_000, () =>
        others.some((name) => {
          const before = highest.get(name) ?? 0;
          highest.set(name, Math.max(before, ballot(name)));
          return ballot(name) < before;
        }),
      );
      stage.expectDecided('election-blocked');
      stage.heal('n2', others);
    },
    without: {
      rule: 'a node looks at its ballot once more when it has its own vote',
      replacements: one(
        'core/standby.js',
        'if (!seenSince(own, own.vote?.grantedAt ?? own.openedAt))',
        'if (false)',
      ),
      shows: /overwritten by an older one/,
    },
  },
];
