/** Two masters, or none without need: when a lease ends (I1, I4), who may be started (I18), which votes count (I17, I21), membership (I23, I24). */
import { expectDead, mustServe, removeNodes, resetVotes, takesNobody } from './circumstances.js';
import type { Scenario } from './scenario.js';
import type { Stage } from './stage.js';
import { stopsStreaming, takesNoStandby } from './streams.js';

/** That worker says something on the session that holds its vote on that voter. */
function untilHeard(stage: Stage, voter: string, worker: string): void {
  const since = stage.now;
  const sessions = () => [...stage.server(voter).sessions].filter(({ owner }) => owner === worker);
  const isHeard = () => sessions().some(({ locked, idleSince }) => locked && idleSince > since);
  stage.until(`${worker} is heard on ${voter}`, isHeard, 6000);
}

/** The worker of the master comes back just before the guard's end, and what it sends with its votes is slow. */
function startsAgainLate(stage: Stage, slowMs: number): void {
  const host = stage.host('n1');
  host.killWorker();
  const { endsAt } = host.guard;
  stage.run(endsAt - stage.now - 300);
  stage.at('n1', 'votes-held', () => stage.cut('n1', ['n2', 'n3']));
  host.startWorker();
  stage.untilDecision('n1', 'votes-held');
  stage.expect('before the end', stage.now < endsAt);
  stage.run(endsAt - stage.now + slowMs);
  stage.heal('n1', ['n2', 'n3']);
}

export const oneMaster: readonly Scenario[] = [
  {
    name: 'I1 the answer to a renewal comes late, then the master is cut off',
    why: 'the voter counts from the moment at which it was asked, long before its answer arrived',
    setting: { nodes: 3, names: '', settings: { leaseTtlMs: 14_900 } },
    play(stage) {
      stage.cut('n1', 'n2');
      stage.run(16_000);
      stopsStreaming(stage, 'n3');
      stage.writeAll();
      untilHeard(stage, 'n3', 'n1');
      stage.run(500);
      stage.host('n3').stallWorker();
      stage.setPaths(['n3'], ['n1'], 'drop');
      untilHeard(stage, 'n3', 'n1');
      stage.run(3000);
      stage.heal('n1', 'n3');
      stage.run(5);
      stage.isolate('n1');
      stage.host('n3').resumeWorker();
      expectDead(stage, 'n1', 'promoting');
      stage.untilAnyMaster(['n2', 'n3'], 40_000);
      stage.run(3000);
    },
  },
  {
    name: 'I4 the lease is over, and ending the server takes long',
    why: 'without the votes that are left nobody else is elected beside it',
    setting: { nodes: 4, names: '' },
    play(stage) {
      for (const name of ['n2', 'n3', 'n4']) stopsStreaming(stage, name);
      stage.writeAll();
      stage.run(1000);
      stage.server('n1').diesAfterMs = 14_000;
      takesNobody(stage, 'n1');
      stage.cut('n1', ['n3', 'n4']);
      expectDead(stage, 'n1', 'promoting');
      stage.untilAnyMaster(['n2', 'n3', 'n4'], 60_000);
      stage.run(2000);
    },
  },
  {
    name: 'I17 a node is to be brought back while the master needs its vote',
    why: 'a server that is rewound or copied has no vote to give',
    setting: { nodes: 3, names: '' },
    play(stage) {
      stage.cluster.watcher.steady = true;
      stage.cut('n1', 'n2');
      stage.run(16_000);
      const { server } = stage.host('n3');
      server.alterSystem({ fenced: true, primaryConninfo: '' });
      server.reload();
      stage.neverMaster(['n2', 'n3'], 30_000);
      stage.expectNotDecided('lease-lapsed');
      stage.heal('n1', 'n2');
      stage.untilDecision('n3', 'rejoin-started');
      stage.untilDecision('n3', 'rejoined');
    },
  },
  {
    name: 'I17 a node is to be brought back, and the vote that would do without it is about to run out',
    why: 'a vote that is not renewed any more is none to count on when another one is given back',
    setting: { nodes: 3, names: '' },
    play(stage) {
      stage.cluster.watcher.steady = true;
      stage.cut('n1', 'n2');
      stage.run(6000);
      const { server } = stage.host('n3');
      server.alterSystem({ fenced: true, primaryConninfo: '' });
      server.reload();
      for (let i = 0; i < 20; i++) {
        stage.host('n1').hint();
        stage.run(100);
      }
      stage.neverMaster(['n2', 'n3'], 30_000);
      stage.expectNotDecided('lease-lapsed');
      stage.heal('n1', 'n2');
      stage.untilDecision('n3', 'rejoined');
    },
  },
  {
    name: 'I18 a supervisor starts the server again while its worker ends it',
    why: 'between the end of its processes and the marks in its files lie some milliseconds',
    setting: { nodes: 3, names: '' },
    play(stage) {
      stage.writeAll();
      const { server } = stage.host('n1');
      const crash = server.crash.bind(server);
      server.crash = (why) => {
        crash(why);
        stage.cluster.world.after(2, () => server.start());
      };
      stage.isolate('n1');
      stage.at('n1', 'server-retired', () => stage.host('n1').stallWorker());
      stage.untilDecision('n1', 'server-retired');
      server.crash = crash;
      stage.untilAnyMaster(['n2', 'n3']);
      stage.run(3000);
      stage.expect('n1 is a standby', !server.writable);
    },
  },
  {
    name: 'I20 the master is cut off with sync in effect',
    why: 'what was not acknowledged waits, and it is fenced before it sees the others again',
    setting: { nodes: 3, names: 'ANY 1 (n1, n2, n3)' },
    play(stage) {
      stage.writeAll();
      stage.isolate('n1');
      stage.untilDecision('n1', 'lease-lapsed');
      stage.untilAnyMaster(['n2', 'n3']);
      stage.run(5000);
      stage.expect('n1 is fenced', !stage.server('n1').writable);
      stage.heal('n1');
      stage.run(20_000);
    },
  },
  {
    name: 'I21 one standby has long lost the master, another one saw it until now',
    why: 'the lease was renewed as long as somebody saw it',
    setting: { nodes: 3, names: '' },
    play(stage) {
      stage.writeAll();
      stage.cut('n1', 'n2');
      stage.run(30_000);
      stage.expectDecided('master-seen-by-peer', 'n2');
      stage.cut('n1', 'n3');
      // The voter ends the session early, and the master does not hear of it.
      resetVotes(stage, 'n1', ['n3']);
      expectDead(stage, 'n1', 'promoting');
      stage.untilAnyMaster(['n2', 'n3']);
      stage.run(2000);
    },
  },
  {
    name: 'I22 a worker that is started again has its votes before T, and the looks with them after it',
    why: 'who holds the votes of a majority may keep its server, however loaded the machines are',
    setting: { nodes: 3, names: 'ANY 1 (n1, n2, n3)' },
    play(stage) {
      stage.cluster.watcher.steady = true;
      startsAgainLate(stage, 300);
      stage.run(3000);
      stage.expect('n1 is still up', stage.server('n1').writable);
      stage.untilMaster('n1');
      stage.run(30_000);
      stage.expectNotDecided('server-retired');
    },
  },
  {
    name: 'I22 a promotion that waited under hold is established, and its worker hangs at once',
    why: 'from then on it acknowledges: the guard has to be there before',
    setting: { nodes: 5, names: '', neverMaster: ['n5'] },
    play(stage) {
      const others = ['n3', 'n4', 'n5'];
      stage.writeAll();
      let takesThem = () => {};
      stage.at('n2', 'promoted', () => {
        takesThem = takesNoStandby(stage.server('n2'));
        for (const name of others) stage.resetStream(name);
      });
      stage.powerOff('n1');
      stage.untilDecision('n2', 'promoted');
      stage.untilDecision('n2', 'election-aborted');
      stage.at('n2', 'epoch-established', () => {
        // What it has sent takes effect; it hangs before it hears of that.
        stage.cluster.world.after(0.1, () => stage.host('n2').stallWorker());
        stage.cluster.world.after(50, () => stage.isolate('n2'));
      });
      takesThem();
      stage.untilDecision('n2', 'epoch-established');
      expectDead(stage, 'n2', 'promoting');
      stage.untilAnyMaster(others);
      stage.run(5000);
    },
  },
  {
    name: 'I23 two nodes are removed, one after the other, beside a cut',
    why: 'a majority of three that were left may hold none of a majority of five',
    setting: { nodes: 5, names: '' },
    play(stage) {
      stage.writeAll();
      stage.cut(['n1', 'n2'], ['n3', 'n4', 'n5']);
      removeNodes(stage, 'n4', 'n5');
      expectDead(stage, 'n1', 'promoting');
      stage.untilAnyMaster(['n3', 'n4', 'n5']);
      stage.run(2000);
    },
  },
  {
    name: 'I23 a node is removed while two others are lost',
    why: 'without it the master has no majority any more',
    setting: { nodes: 5, names: '' },
    play(stage) {
      stage.cluster.watcher.steady = true;
      stage.cut(['n1', 'n4', 'n5'], ['n2', 'n3']);
      stage.run(16_000);
      removeNodes(stage, 'n5');
      stage.neverMaster(['n2', 'n3', 'n4', 'n5'], 30_000);
      stage.expectNotDecided('lease-lapsed');
      stage.expectNotDecided('voter-removed');
      stage.heal(['n1', 'n4', 'n5'], ['n2', 'n3']);
      stage.untilDecided('n1', 'voter-removed');
    },
  },
  {
    name: 'I24 a node is removed that alone of the set has a commit, then the master dies',
    why: 'who is no voter is waited for in vain',
    setting: { nodes: 5, names: 'ANY 1 (n2, n3)' },
    play(stage) {
      stage.stallStream('n2');
      const commit = stage.writeThrough('n1');
      stage.run(100);
      stage.expectOn(commit, ['n1', 'n3', 'n4', 'n5']);
      removeNodes(stage, 'n3');
      stage.untilDecision('n1', 'sync-change-abandoned');
      stage.run(2000);
      stage.powerOff('n1');
      mustServe(stage, 60_000);
      const master = stage.untilAnyMaster(['n2', 'n4', 'n5']);
      stage.expect('the commit is there', stage.has(master, commit));
    },
  },
  {
    name: 'I25 two nodes alone have both become master, and see each other again',
    why: 'no majority decides between them: the newer epoch does',
    setting: { nodes: 2, names: '' },
    play(stage) {
      stage.cut('n1', 'n2');
      stage.until('both take writes', () => stage.cluster.writable.length === 2);
      stage.run(5000);
      stage.heal('n1', 'n2');
      stage.untilDecision('n1', 'newer-master');
      stage.untilMaster('n2');
    },
  },
];
