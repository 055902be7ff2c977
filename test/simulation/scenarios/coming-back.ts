/** Former masters and lost branches: epochs that were fought for (A4), the same timeline twice (A8), who may stay (B2, B9, B11, B12). */
import { killWorkerAndGuard, withoutGuard } from './guards.js';
import { one, type Scenario } from './scenario.js';
import type { Stage } from './stage.js';

/**
 * n1 is cut off and n2 elected by n3 and n4; when pg_promote is sent n2 is left with n3 alone, and nobody else has anything
 * of the new timeline. n1 lost power before its worker fenced it: it boots writable beside n4 and n5.
 */
function promotedBeforeAMinority(stage: Stage): void {
  stage.isolate('n1');
  stage.cut('n5', ['n2', 'n3', 'n4']);
  stage.run(3000);
  stage.powerOff('n1');
  stage.at('n2', 'promoting', () => stage.cut(['n2', 'n3'], ['n4', 'n5']));
  stage.untilDecision('n2', 'promoted');
}

function formerMasterBoots(stage: Stage): void {
  stage.heal('n1', ['n4', 'n5']);
  stage.heal('n4', 'n5');
  stage.bootServerFirst('n1');
}

export const comingBack: readonly Scenario[] = [
  {
    name: 'A4 a commit between promotion and the established epoch',
    why: 'a majority of the others knows nothing of the new epoch, and the former master may come back among them',
    setting: { nodes: 5, names: 'ANY 1 (n1, n2, n3)' },
    play(stage) {
      promotedBeforeAMinority(stage);
      stage.run(100);
      const commit = stage.write('n2');
      stage.run(5000);
      stage.expect(
        'n3 has it, and still nobody acknowledges it',
        stage.has('n3', commit) && !commit.acknowledged,
      );
      stage.powerOff('n2');
      formerMasterBoots(stage);
      stage.untilMaster('n1');
      stage.untilDecided('n1', 'went-async');
      stage.writeThrough('n1');
      stage.boot('n2');
    },
    without: {
      rule: 'the real names are set only when the epoch is on a majority',
      replacements: one(
        'core/election/new-epoch.js',
        'if (isEstablished(k, e.writtenLsn, e.phaseAt, row) && members >= e.sync.needed)',
        'if (members >= e.sync.needed)',
      ),
      shows: /^S[1234]: |nobody acknowledges it/,
    },
  },
  {
    name: 'A4 the former master takes the lease again while another epoch was fought for',
    why: 'without a new epoch the one that was fought for would look newer than what is acknowledged now',
    setting: { nodes: 5, names: 'ANY 1 (n1, n2, n3)' },
    play(stage) {
      promotedBeforeAMinority(stage);
      formerMasterBoots(stage);
      stage.untilMaster('n1');
      stage.expect('in an epoch above the one of n2', stage.row('n1').epoch > stage.row('n2').epoch);
      stage.untilDecided('n1', 'went-async');
      const commit = stage.writeThrough('n1');
      stage.powerOff('n1');
      stage.heal(['n2', 'n3'], ['n4', 'n5']);
      stage.neverMaster(['n2', 'n3', 'n4', 'n5'], 60_000);
      stage.heal('n1');
      stage.boot('n1');
      const master = stage.untilAnyMaster(['n1', 'n2', 'n3', 'n4', 'n5']);
      stage.expect('the commit is there', stage.has(master, commit));
    },
    without: {
      rule: 'a claim keeps its epoch only with all votes and nothing newer in sight',
      replacements: one(
        'core/election/freeze.js',
        'e.epoch === known + 1 &&\n            held.length === votersOf(k).length &&',
        'true &&',
      ),
      shows: /^S[123]: |becomes master|above the one of n2/,
    },
  },
  {
    name: 'A4 the same, and its own session ends when it has the votes',
    why: 'votes of a claim are no lease: what their servers have was not looked at yet',
    setting: { nodes: 5, witnesses: 2, names: 'ANY 1 (n1, n2, n3)' },
    play(stage) {
      stage.at('n2', 'promoting', () => stage.cut(['n2', 'n3'], ['w1', 'w2']));
      promotedBeforeAMinority(stage);
      stage.heal('n1', ['w1', 'w2']);
      stage.at('n1', 'votes-held', () => stage.endSessionOn('n1', 'n1'));
      formerMasterBoots(stage);
      stage.untilMaster('n1');
      stage.expectDecided('server-back', 'n1');
      stage.expect('in an epoch above the one of n2', stage.row('n1').epoch > stage.row('n2').epoch);
    },
    without: {
      rule: 'only a worker that won its place goes on as master when its server is back',
      replacements: one('core/step.js', 'k.leads && k.registry?.master', 'k.registry?.master'),
      shows: /above the one of n2/,
    },
  },
  {
    name: 'A8 two servers promoted from the same point have the same timeline number',
    why: 'PostgreSQL and pg_rewind notice nothing: "no rewind required", rc 0, on diverged data',
    setting: { nodes: 5, names: 'ANY 2 (n1, n2, n3, n4, n5)' },
    play(stage) {
      stage.powerOff('n1');
      stage.at('n2', 'promoting', () => stage.isolate('n2'));
      stage.untilDecision('n2', 'promoted');
      stage.run(100);
      stage.write('n2');
      const master = stage.untilAnyMaster(['n3', 'n4', 'n5']);
      stage.writeThrough(master);
      const numbers = [stage.server('n2'), stage.server(master)].map(({ branch }) => branch.tli);
      stage.expect('the same timeline number twice', numbers.join() === '2,2');
      stage.heal('n2');
      const rejoin = stage.untilDecision('n2', 'rejoin-started');
      stage.expect('n2 is copied, pg_rewind is not asked', rejoin.details['mode'] === 'copy');
      stage.untilDecision('n2', 'rejoined');
    },
    without: {
      rule: 'a timeline with another promotion behind it is another history',
      replacements: one(
        'core/ranking.js',
        'return expected !== undefined && obs.registry.promotionId !== expected;',
        'return false;',
      ),
      shows: /^S5: |pg_rewind is not asked/,
    },
  },
  {
    name: 'B2 the former master returns as a standby while a member of the set is gone for good',
    why: 'it has everything that was ever acknowledged, and no count of the others can be reached',
    setting: { nodes: 3, names: 'ANY 1 (n2, n3)' },
    play(stage) {
      const commit = stage.writeThrough('n1');
      stage.powerOff('n3');
      stage.server('n1').crash('kill -9');
      const master = stage.untilAnyMaster(['n1', 'n2']);
      stage.expect('the commit is there', stage.has(master, commit));
      stage.expect('n1 came back fenced', stage.decisions('server-retired', 'n1').length > 0);
      stage.writeThrough(master);
    },
    without: {
      rule: 'the master of the newest epoch, read to the end, counts for all of R',
      replacements: one(
        'core/election/freeze.js',
        'const verdict = restriction(registry, here, formerHere);',
        'const verdict = restriction(registry, here, false);',
      ),
      shows: /^not in 90000 ms: one of n1, n2 is master/,
    },
  },
  {
    name: 'B9 a writable leftover of an old epoch without a worker',
    why: 'it answers as a master, and an election that waits for it waits for ever',
    setting: { nodes: 5, names: 'ANY 1 (n1, n2, n3, n4, n5)' },
    play(stage) {
      stage.isolate('n1');
      killWorkerAndGuard(stage.host('n1'));
      stage.untilMaster('n2');
      stage.heal('n1');
      stage.untilDecision('n2', 'leftover-held');
      stage.run(1000);
      const stray = stage.write('n1');
      stage.powerOff('n2');
      const master = stage.untilAnyMaster(['n3', 'n4', 'n5']);
      stage.writeThrough(master);
      stage.expect('n1 is writable all the while', stage.server('n1').writable);
      stage.expect('and acknowledges nothing', !stray.acknowledged);
    },
    without: {
      rule: 'only a writable server with the newest epoch stops an election',
      replacements: one(
        'core/election/candidacy.js',
        'if (link.obs.inRecovery || link.obs.registry?.epoch !== registry.epoch)\n            continue;\n        if (registry.master === link.voter)',
        'if (link.obs.inRecovery)\n            continue;\n        if (registry.master !== null)',
      ),
      shows: /^not in 90000 ms: one of n3, n4, n5 is master/,
    },
  },
  {
    name: 'B9 a former master boots before its worker, and its server still acknowledges',
    why: 'with sync off only its end stops it: the first look at a server that knows a newer master decides',
    setting: { nodes: 3, names: '' },
    play(stage) {
      stage.powerOff('n1');
      stage.untilAnyMaster(['n2', 'n3']);
      stage.run(1000);
      // Commits do not begin to wait: the checkpointer does not get to the reload.
      stage.server('n1').checkpointerBusyUntil = Number.POSITIVE_INFINITY;
      stage.bootServerFirst('n1');
      stage.writeAll();
      stage.untilDecision('n1', 'claim-failed', 100);
    },
    without: {
      rule: 'a claim is given up as soon as a newer master is known, whatever it waits for',
      replacements: one('core/election/election.js', 'if (registry === null ||', 'if (true ||'),
      shows: /n1 decides claim-failed/,
    },
  },
  {
    name: 'B11 a master asks for its place again under load',
    why: 'whoever reads its own position first finds every voter ahead',
    setting: { nodes: 3, names: 'ANY 1 (n2, n3)' },
    play(stage) {
      // Without all votes the claim is an election.
      stage.powerOff('n3');
      const until = stage.now + 2000;
      const writeAlways = () => {
        if (stage.now < until && stage.server('n1').writable) {
          stage.write('n1');
          stage.cluster.world.after(0.2, writeAlways);
        }
      };
      writeAlways();
      stage.host('n1').killWorker();
      stage.run(500);
      stage.host('n1').startWorker();
      stage.untilDecision('n1', 'master-ready');
      stage.run(2000);
      stage.expectNotDecided('peer-ahead');
      stage.expectNotDecided('claim-failed');
    },
    without: {
      rule: 'a voter is compared with what this server had after the voter was read',
      replacements: one(
        'core/election/freeze.js',
        "if (e.cause === 'claim' && ownLink(k).obsAt < link.obsDoneAt)",
        'if (false)',
      ),
      shows: /decided peer-ahead|n1 decides master-ready/,
    },
  },
  {
    name: 'B12 the worker of a healthy master stands still for longer than the lease',
    why: 'a hiccup must not cost a crash recovery while nothing can be acknowledged without the standbys',
    setting: { nodes: 3, names: 'ANY 1 (n2, n3)' },
    play(stage) {
      const { incarnation } = stage.server('n1');
      stage.host('n1').stallWorker();
      // Not so long that its guard ends the server.
      stage.run(10_500);
      stage.host('n1').resumeWorker();
      stage.untilDecision('n1', 'lease-lapsed');
      stage.untilMaster('n1');
      stage.writeThrough('n1');
      stage.expect('no crash recovery', stage.server('n1').incarnation === incarnation);
    },
    without: {
      rule: 'with sync in effect a lapse holds commits and asks again',
      replacements: one(
        'core/roles/master.js',
        'if (syncInEffect)\n        return enterReclaim(k, turn, Math.max(k.now, m.leaseUntil));',
        '',
      ),
      shows: /no crash recovery|n1 is master/,
    },
  },
  {
    name: 'B12 the network of the master is gone for less than the lease',
    why: 'all voters are healthy, and what was sent is answered late',
    setting: { nodes: 3, names: '' },
    play(stage) {
      const { incarnation } = stage.server('n1');
      stage.cluster.watcher.steady = true;
      stage.isolate('n1');
      stage.run(6000);
      stage.heal('n1');
      stage.run(10_000);
      stage.expectNotDecided('lease-lapsed');
      stage.expect('no crash recovery', stage.server('n1').incarnation === incarnation);
    },
    without: {
      rule: 'a master waits for an answer on the session of a vote as long as the vote is good',
      replacements: one(
        'core/turn.js',
        ': Math.max(pollDeadlineMs(k.settings), patienceMs),',
        ': pollDeadlineMs(k.settings),',
      ),
      shows: /^L2: |decided lease-lapsed/,
    },
  },
  {
    name: 'B12 the same with sync off: the server stops at once',
    why: 'without standbys only the end of the server keeps it from acknowledging beside somebody else',
    setting: { nodes: 3, names: '' },
    play(stage) {
      withoutGuard(stage.host('n1'));
      stage.writeAll();
      stage.isolate('n1');
      stage.untilDecision('n1', 'lease-lapsed', 11_000);
      stage.untilAnyMaster(['n2', 'n3'], 20_000);
      stage.run(5000);
      stage.expectDecided('server-retired', 'n1');
    },
    without: {
      rule: 'a lapsed master with sync off ends its server',
      replacements: one(
        'core/roles/master.js',
        'retire(k, turn);\n}\nexport function ingestMaster',
        '}\nexport function ingestMaster',
      ),
      shows: /^S1: |n1 is down/,
    },
  },
];
