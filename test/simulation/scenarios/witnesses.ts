/** Schedules that need voters without data: a row without the WAL before it (A1), and a witness that is not the one that was added (A13). */

import type { Replacement } from '../mutated-core.js';
import { addWitness } from '../operators.js';
import { startWitness } from '../witness-faults.js';
import { one, type Scenario } from './scenario.js';
import type { Stage } from './stage.js';
import { type Commit, stallDisk } from './streams.js';

/** Its standby was promoted: no lock, an old birth, another timeline, and the last row had not arrived there. */
function failsOver(stage: Stage, name: string): void {
  const server = stage.server(name);
  server.crash('its standby takes over');
  server.branch = stage.cluster.newBranch(server.branch.tli + 1, server.branch, server.end, name);
  server.kept.clear();
  startWitness(server);
  stage.until(`the new ${name} is up`, () => server.life === 'up');
  server.bornAt -= 3_600_000;
}

/** The other node is stopped, the master writes on beside the witness and dies, the other one comes back. */
function goesOnAlone(stage: Stage): Commit {
  stage.host('n2').stopWorker();
  stage.server('n2').stop(() => undefined);
  stage.run(20_000);
  const commit = stage.writeThrough('n1');
  stage.expectOn(commit, ['n1']);
  stage.powerOff('n1');
  stage.server('n2').start();
  stage.host('n2').startWorker();
  stage.run(30_000);
  return commit;
}

const anyServer: readonly Replacement[] = one(
  'core/foreign-server.js',
  'return !isSameWitness(voter, obs);',
  'return false;',
);

export const witnesses: readonly Scenario[] = [
  {
    name: 'A1 the new epoch names a member that has not received what was acknowledged before',
    why: 'the next candidate believes the row that the witnesses keep',
    setting: { nodes: 3, witnesses: 2, names: 'ANY 1 (n1, n2, n3)' },
    play(stage) {
      const goesOn = stallDisk(stage.server('n3'));
      stage.expectOn(stage.writeThrough('n1'), ['n1', 'n2']);
      stage.powerOff('n1');
      stage.untilDecision('n2', 'promoted');
      stage.run(500);
      stage.powerOff('n2');
      // What had come to n3 and was not flushed is lost with its server.
      stage.server('n3').crash('kill -9');
      goesOn();
      stage.neverMaster(['n3'], 30_000);
      stage.untilBlockedOn('n3', 'n2');
    },
    without: {
      rule: 'the row of an epoch is established when the members it names have flushed it, and only then told to witnesses',
      replacements: [
        ...one(
          'core/election/new-epoch.js',
          'if (members >= e.sync.needed)\n        tellWitnesses',
          'tellWitnesses',
        ),
        ...one(
          'core/election/new-epoch.js',
          'if (isEstablished(k, e.writtenLsn, e.phaseAt, row) && members >= e.sync.needed)',
          'if (isEstablished(k, e.writtenLsn, e.phaseAt, row))',
        ),
      ],
      shows: /^S[24]: |becomes master/,
    },
  },
  {
    name: 'A13 a witness fails over without the row that says degraded',
    why: 'the other node finds a majority that still reads "on"',
    setting: { nodes: 2, witnesses: 1, names: 'ANY 1 (n1, n2)' },
    play(stage) {
      stage.host('n2').stopWorker();
      stage.server('n2').stop(() => undefined);
      stage.untilDecision('n1', 'went-async');
      stage.run(2000);
      const commit = stage.writeThrough('n1');
      stage.expectOn(commit, ['n1']);
      stage.powerOff('n1');
      failsOver(stage, 'w1');
      stage.server('n2').start();
      stage.host('n2').startWorker();
      stage.neverMaster(['n2'], 70_000);
      stage.expectDecided('witness-changed', 'n2');
      stage.boot('n1');
      const master = stage.untilAnyMaster(['n1', 'n2']);
      stage.expect('the commit is there', stage.has(master, commit));
      addWitness(stage.cluster, 0);
    },
    without: {
      rule: 'a witness is one server: on any other the vote is void',
      replacements: anyServer,
      shows: /^S[23]: |becomes master/,
    },
  },
  {
    name: 'A13 a witness fails over and has no locks, with sync off',
    why: 'its new server is not young, and the master counts on the vote until lease_ttl',
    setting: { nodes: 2, witnesses: 1, names: '' },
    play(stage) {
      stage.writeAll();
      stage.cut('n1', 'n2');
      stage.untilDecision('n2', 'votes-refused');
      stage.cut('n1', 'w1');
      failsOver(stage, 'w1');
      stage.run(30_000);
      stage.expectDecided('witness-changed', 'n2');
      stage.expectNotDecided('promoting');
      stage.heal('n1');
      stage.untilAnyMaster(['n1', 'n2']);
      addWitness(stage.cluster, 0);
    },
    without: {
      rule: 'a witness is one server: on any other the vote is void',
      replacements: anyServer,
      shows: /^S[13]: |witness-changed/,
    },
  },
  {
    name: 'I14 the witness alone has the row that says degraded',
    why: 'the other node reads "on" in its own WAL, and has not what was acknowledged since',
    setting: { nodes: 2, witnesses: 1, names: 'ANY 1 (n1, n2)' },
    play(stage) {
      const commit = goesOnAlone(stage);
      stage.neverMaster(['n2'], 30_000);
      stage.untilBlockedOn('n2', 'n1');
      stage.boot('n1');
      const master = stage.untilAnyMaster(['n1', 'n2']);
      stage.expect('the commit is there', stage.has(master, commit));
    },
  },
  {
    name: 'I14 with sync off the witness has a row that the other node lacks',
    why: 'the master went on without it, nobody knows how far',
    setting: { nodes: 2, witnesses: 1, names: '' },
    play(stage) {
      stage.at('n2', 'promoted', () => stage.write('n2'));
      goesOnAlone(stage);
      stage.neverMaster(['n2'], 30_000);
      stage.expectDecided('election-left-behind', 'n2');
      stage.boot('n1');
      stage.untilAnyMaster(['n1', 'n2']);
    },
  },
  {
    name: 'I14 without sync the master dies after a change of its row, which the other node has not received yet',
    why: 'that is no reason to wait for the master: it had not gone on without that node',
    setting: { nodes: 2, witnesses: 1, names: '' },
    play(stage) {
      const goesOn = stallDisk(stage.server('n2'));
      const row = stage.row('n1');
      stage.server('n1').writeRow({ ...row, version: row.version + 1 });
      stage.run(1500);
      stage.powerOff('n1');
      stage.server('n2').crash('kill -9');
      goesOn();
      stage.untilDecision('n2', 'master-ready');
    },
    without: {
      rule: 'with sync off the witness gets a row after the nodes that stream',
      replacements: one('core/roles/master.js', ' && mayWitnessesHave(k, m)', ''),
      shows: /not in \d+ ms: n2 decides master-ready/,
    },
  },
  {
    name: 'I14 the master dies as sync is switched off, and the other node has not received that yet',
    why: 'it has all that was acknowledged, and is no node that was given up',
    setting: { nodes: 2, witnesses: 1, names: 'ANY 1 (n1, n2)' },
    play(stage) {
      const goesOn = stallDisk(stage.server('n2'));
      stage.wishNames('');
      stage.untilDecision('n1', 'sync-change');
      stage.run(1500);
      stage.powerOff('n1');
      stage.server('n2').crash('kill -9');
      goesOn();
      stage.untilDecision('n2', 'master-ready');
    },
    without: {
      rule: 'the witness gets the row that switches sync off after the nodes that stream',
      replacements: one('core/sync/sync-change.js', 'if (mayBeKept(k, change, change.lsn))', 'if (true)'),
      shows: /not in \d+ ms: n2 decides master-ready/,
    },
  },
  {
    name: 'I15 the new epoch names a member that is away',
    why: 'the witnesses keep that promise, and the member comes back alone',
    setting: { nodes: 3, witnesses: 2, names: 'ANY 1 (n2)' },
    play(stage) {
      stage.powerOff('n3');
      const commit = stage.writeThrough('n1');
      stage.expectOn(commit, ['n1', 'n2']);
      // What counts is the file of whoever is promoted.
      const { server } = stage.host('n2');
      server.alterSystem({ userNames: 'ANY 1 (n3)' });
      server.reload();
      stage.powerOff('n1');
      stage.untilDecided('n2', 'master-ready');
      stage.run(2000);
      stage.powerOff('n2');
      stage.boot('n3');
      stage.neverMaster(['n3'], 60_000);
      stage.boot('n2');
      stage.untilAnyMaster(['n2', 'n3']);
      stage.expect('the commit is there', stage.has('n2', commit));
    },
  },
  {
    name: 'I15 the worker of a new master dies before what its row promises holds, and the next one has all votes',
    why: 'with all votes it keeps its epoch, and its witnesses would be told a row that nobody has proven',
    setting: { nodes: 3, witnesses: 2, names: 'ANY 1 (n1, n2, n3)' },
    play(stage) {
      const goesOn = stallDisk(stage.server('n3'));
      const commit = stage.writeThrough('n1');
      stage.expectOn(commit, ['n1', 'n2']);
      // It does not stand as well if n1 takes long to give the votes back.
      stage.host('n3').stallWorker();
      stage.server('n1').crash('kill -9');
      stage.untilDecision('n2', 'promoted');
      stage.host('n3').resumeWorker();
      stage.cut('n1', 'n2');
      stage.until('n2 has its row', () => stage.row('n2').epoch > 2);
      stage.host('n2').killWorker();
      stage.until('n1 is a standby', () => stage.server('n1').life === 'up');
      stage.host('n1').killWorker();
      // A voter gives its vote when it is lease_ttl old.
      stage.run(10_500);
      stage.heal('n1', 'n2');
      stage.host('n2').startWorker();
      stage.run(1500);
      stage.powerOff('n1', 'n2');
      stage.server('n3').crash('kill -9');
      goesOn();
      stage.neverMaster(['n3'], 60_000);
      stage.boot('n1', 'n2');
      const master = stage.untilAnyMaster(['n1', 'n2', 'n3']);
      stage.expect('the commit is there', stage.has(master, commit));
    },
  },
  {
    name: 'I1 the only witness of two nodes is replaced, and they lose each other meanwhile',
    why: 'two nodes for a moment are no two nodes alone: none of them is a majority',
    setting: { nodes: 2, witnesses: 1, names: '' },
    play(stage) {
      stage.writeAll();
      stage.at('n1', 'voter-removed', () => {
        stage.cluster.world.after(1, () => stage.cut('n1', ['n2', 'w1']));
      });
      addWitness(stage.cluster, 0);
      stage.untilDecision('n1', 'voter-removed');
      stage.at('n2', 'promoting', () => stage.expect('n1 is dead', !stage.server('n1').writable));
      stage.neverMaster(['n2'], 40_000);
      stage.heal('n1');
      stage.untilAnyMaster(['n1', 'n2']);
    },
  },
  {
    name: 'I23 of three witnesses two answer no more as they were, and all three are added anew, the good one first',
    why: 'without the good one nobody would be a majority, and the other two can go at once',
    setting: { nodes: 2, witnesses: 3, names: '' },
    play(stage) {
      for (const name of ['w2', 'w3']) failsOver(stage, name);
      for (const place of [0, 1, 2]) addWitness(stage.cluster, place);
    },
    without: {
      rule: 'of several voters that are to be removed the first that can be is removed first',
      replacements: one(
        'core/roles/membership.js',
        'return removed.some(',
        'return removed.slice(0, 1).some(',
      ),
      shows: /^L1: /,
    },
  },
];
