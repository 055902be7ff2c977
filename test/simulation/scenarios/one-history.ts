/** What an old decision or a lost epoch may still do: late statements (I5, I9), ballots (I7), rows that get nowhere (I10). */
import { ballotOf } from '../../../src/core/votes/ballot.js';
import { mustServe, promotedWithoutItsRow } from './circumstances.js';
import { killWorkerAndGuard } from './guards.js';
import { one, type Scenario } from './scenario.js';
import type { Stage } from './stage.js';

/** It is promoted where nobody gets anything of it, and ends before its epoch has a row. */
function dies(stage: Stage, name: string, others: readonly string[]): void {
  stage.at(name, 'promoting', () => stage.cut(name, others));
  stage.at(name, 'promoted', () => stage.server(name).crash('kill -9'));
}

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
      // What it may acknowledge until its worker has looked around is a stated limit.
      stage.run(2000);
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
      // It is missed for a majority, and leaves all the same.
      stage.run(45_000);
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
    name: 'I17 two nodes are promoted one after the other, and neither writes its row',
    why: 'both are on the same timeline number behind the same promotion id: nothing in the registry tells their logs apart',
    setting: { nodes: 5, names: '', neverMaster: ['n4', 'n5'] },
    play(stage) {
      stage.powerOff('n1');
      const others = ['n2', 'n3', 'n4', 'n5'];
      for (const name of ['n2', 'n3']) dies(stage, name, others);
      stage.untilDecision('n2', 'promoted');
      stage.untilDecision('n3', 'promoted');
      stage.run(1000);
      stage.heal(others, others);
      const master = stage.untilAnyMaster(others, 300_000);
      stage.expect('one of the promoted', ['n2', 'n3'].includes(master));
      stage.writeThrough(master);
      stage.run(30_000);
    },
  },
  {
    name: 'I17 the worker dies as its node is promoted, and others have followed it',
    why: 'they are needed for what was acknowledged before, and nothing but the ballots says whose timeline it is',
    setting: { nodes: 5, names: 'ANY 1 (n1, n2, n3)' },
    play(stage) {
      stage.writeAll();
      stage.run(1000);
      stage.at('n2', 'promoting', () =>
        stage.cluster.world.after(2, () => killWorkerAndGuard(stage.host('n2'))),
      );
      stage.powerOff('n1');
      stage.untilDecision('n2', 'promoting');
      stage.run(5000);
      stage.server('n2').crash('kill -9');
      // Long enough for who followed it to be pointed nowhere.
      stage.run(5000);
      stage.host('n2').startWorker();
      mustServe(stage, 60_000);
      stage.untilAnyMaster(['n2', 'n3', 'n4', 'n5']);
    },
  },
  {
    name: 'I17 a node followed a promotion that never got its row, and the promoted server is copied from another master',
    why: 'that master may have the same timeline number, and the node would stream on through the server it points at',
    setting: { nodes: 5, names: 'ANY 1 (n1, n2, n3)', neverMaster: ['n3', 'n4', 'n5'] },
    play(stage) {
      stage.at('n2', 'promoting', () => {
        stage.cut(['n2', 'n3'], ['n1', 'n4', 'n5']);
        stage.cluster.world.after(2, () => killWorkerAndGuard(stage.host('n2')));
      });
      stage.powerOff('n1');
      stage.untilDecision('n2', 'promoting');
      stage.until('n3 has something of it', () => stage.server('n3').branch.tli === 2);
      stage.powerOff('n2');
      stage.boot('n1');
      stage.untilMaster('n1');
      stage.run(5000);
      stage.server('n1').crash('kill -9');
      stage.untilDecision('n1', 'promoted');
      stage.untilMaster('n1');
      // What went on since then is there before n2 and n3 see each other.
      for (let i = 0; i < 20; i++) stage.write('n1');
      stage.cut('n2', 'n3');
      stage.heal('n2', ['n1', 'n4', 'n5']);
      stage.boot('n2');
      // By its worker, or by whatever starts the server first.
      stage.until('n2 streams from n1', () => stage.server('n2').recovery.receiver?.host === 'n1');
      stage.heal('n2', 'n3');
      stage.run(20_000);
      stage.heal('n3', ['n1', 'n4', 'n5']);
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
        'core/roles/coming-back.js',
        'if (!seenSince(own, own.vote?.grantedAt ?? own.openedAt))',
        'if (false)',
      ),
      shows: /overwritten by an older one/,
    },
  },
  {
    name: 'I17 two of three are to be brought back, and the source dies meanwhile',
    why: 'what is half rewound starts no more, and the row of the source is on no majority yet',
    setting: { nodes: 3, names: 'ANY 1 (n1, n2, n3)', neverMaster: ['n1'] },
    play(stage) {
      stage.isolate('n1');
      stage.write('n1');
      stage.untilMaster('n2');
      stage.run(2000);
      stage.isolate('n2');
      stage.write('n2');
      stage.heal('n1', 'n3');
      stage.untilDecision('n3', 'promoted');
      // Its epoch gets on no majority, and after a while the votes are free.
      const halfDone = new Set<string>();
      const breakOff = (forMs: number) => {
        for (const until = stage.now + forMs; stage.now < until; stage.run(1))
          for (const name of ['n1', 'n2'])
            if (stage.server(name).broken && !halfDone.has(name)) {
              halfDone.add(name);
              stage.cut(name, 'n3');
            }
      };
      breakOff(14_000);
      stage.server('n2').crash('kill -9');
      stage.heal('n2');
      breakOff(20_000);
      stage.expect('n1 was on its way, and n2 stayed', [...halfDone].join() === 'n1');
      stage.powerOff('n3');
      stage.heal('n3');
      stage.boot('n3');
      stage.untilMaster('n3');
    },
    without: {
      rule: 'a node leaves for a rejoin only where the others are a majority, and one after the other',
      replacements: one('core/roles/coming-back.js', 'if (isMissed(k, turn, stray))', 'if (false)'),
      shows: /^L1: |n2 stayed/,
    },
  },
];
