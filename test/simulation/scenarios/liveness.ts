/** What must not stop a cluster: who is ahead but may not lead (B1), dead servers (B3), blocked candidates (B4), false witnesses (B5), stuck replay (B6), full servers (B10). */

import { runLongQuery } from '../clients.js';
import { promotedWithoutItsRow, seemsDead } from './circumstances.js';
import { killWorkerAndGuard, withoutGuard } from './guards.js';
import { one, type Scenario } from './scenario.js';

export const liveness: readonly Scenario[] = [
  {
    name: 'B1 the node that is ahead has priority 0',
    why: 'the candidate would let it go first, and it never goes',
    setting: { nodes: 3, names: 'ANY 1 (n2, n3)', neverMaster: ['n3'] },
    play(stage) {
      stage.stallStream('n2');
      const commit = stage.writeThrough('n1');
      stage.expectOn(commit, ['n1', 'n3']);
      stage.powerOff('n1');
      stage.untilMaster('n2', 30_000);
      stage.expectDecided('peer-ahead', 'n2');
      stage.expect('the commit is there', stage.has('n2', commit));
    },
    without: {
      rule: 'the difference is streamed from whoever is ahead',
      replacements: one(
        'core/election/catch-up.js',
        "enterPhase(k, e, 'catch-up');",
        'abandon(k, turn, e, randomBetween(k, 500, 1500));',
      ),
      shows: /n2 is master/,
    },
  },
  {
    name: 'the candidate dies when a node is pointed at it, and no majority is left',
    why: 'a standby asks for its source, and logs that, as often as the retry interval of an election says',
    setting: { nodes: 3, names: 'ANY 1 (n1, n2, n3)', neverMaster: ['n3'] },
    play(stage) {
      const isShort = () => stage.server('n3').configuration.shortRetry;
      stage.at('n2', 'nodes-frozen', () => {
        stage.expect('it is short', isShort());
        stage.powerOff('n2');
      });
      stage.powerOff('n1');
      stage.untilDecision('n2', 'nodes-frozen');
      stage.until('it is as ever again', () => !isShort());
    },
    without: {
      rule: 'after T without a stream the interval is the one of the user again',
      replacements: one('core/roles/standby.js', 'lengthenRetry(k, turn, obs);', ''),
      shows: /as ever again/,
    },
  },
  {
    name: 'B3 the server of the master hangs, its worker renews all votes',
    why: 'no majority is ever free',
    setting: { nodes: 3, names: 'ANY 1 (n2, n3)' },
    play(stage) {
      withoutGuard(stage.host('n1'));
      stage.server('n1').freeze();
      const master = stage.untilAnyMaster(['n2', 'n3'], 40_000);
      stage.expectDecided('server-frozen', 'n1');
      stage.writeThrough(master);
    },
    without: {
      rule: 'a server that takes no new connection for T is ended',
      replacements: [
        ...one(
          'core/roles/master.js',
          'if (k.now - m.ownAliveAt >= failoverTimeMs(k.settings) && !isLeftAlone(k)) {',
          'if (false) {',
        ),
        ...one(
          'core/own-server/own-server.js',
          'if (role.wasMaster && silentMs >= silenceBoundMs(k) && !isLeftAlone(k)) {',
          'if (false) {',
        ),
      ],
      shows: /one of n2, n3 is master|n1 decided server-frozen/,
    },
  },
  {
    name: 'I25 a master that never leads again is started as a standby by its administrator',
    why: 'its worker kept the votes through the stop, as for a restart, and has no use for them any more',
    setting: { nodes: 3, names: 'ANY 1 (n2, n3)', neverMaster: ['n1'] },
    play(stage) {
      const server = stage.server('n1');
      server.stop(() => {
        server.standbySignal = true;
        server.start();
      });
      stage.untilAnyMaster(['n2', 'n3'], 120_000);
    },
    without: {
      rule: 'a server that came back as a standby has no votes of others',
      replacements: one(
        'core/step.js',
        'releaseVotes(k, turn);\n        return enterStandby',
        'return enterStandby',
      ),
      shows: /one of n2, n3 is master/,
    },
  },
  {
    name: 'I25 the row of a new epoch takes as long as a lease, and its worker ends the session on which it waits',
    why: 'nobody answers what was asked there, and the other votes are held all the while',
    setting: {
      nodes: 3,
      witnesses: 2,
      names: 'ANY 1 (n1, n2, n3)',
      neverMaster: ['n3'],
      settings: { keepaliveTimeMs: 2000, leaseTtlMs: 1000 },
    },
    play(stage) {
      const server = stage.server('n2');
      stage.at('n2', 'promoted', () => {
        server.diskMs = 5000;
        stage.cluster.world.after(2000, () => {
          server.diskMs = 0;
        });
      });
      stage.powerOff('n1');
      stage.untilDecision('n2', 'promoted');
      stage.untilMaster('n2', 60_000);
    },
    without: {
      rule: 'an election that waits for a write is over when its own session is',
      replacements: one('core/election/election.js', ' || hasAskedInVain(e, own)', ''),
      shows: /n2 is master/,
    },
  },
  {
    name: 'B4 a blocked candidate and the former master that comes back',
    why: 'it needs the votes that the candidate can make nothing of',
    setting: { nodes: 5, names: 'ANY 1 (n1, n2, n3)' },
    play(stage) {
      stage.powerOff('n1', 'n3');
      stage.untilBlockedOn('n2', 'n3');
      stage.run(10_000);
      stage.host('n1').powerOn();
      stage.host('n1').startWorker();
      stage.untilMaster('n1', 30_000);
      stage.expectNotDecided('promoting', 'n2');
    },
    without: {
      rule: 'a blocked candidate gives its votes back between tries',
      replacements: [
        ...one(
          'core/election/election-round.js',
          "releaseVotes(k, turn);\n    if (e.cause === 'failover') {",
          "if (e.cause === 'failover') {",
        ),
        ...one('core/roles/standby.js', 'else if (own.vote !== null) {', 'else if (false) {'),
      ],
      shows: /n1 is master/,
    },
  },
  {
    name: 'B5 a standby hears the candidate of a failed round',
    why: 'its WAL receiver gets messages, but not from the master',
    setting: { nodes: 3, names: 'ANY 1 (n2, n3)', neverMaster: ['n3'], settings: { fencingCommand: true } },
    play(stage) {
      stage.host('n2').hookWorks = false;
      stage.powerOff('n1');
      stage.untilDecision('n2', 'fencing-command-failed');
      stage.expect('n3 streams from n2', stage.server('n3').recovery.receiver?.host === 'n2');
      stage.host('n2').hookWorks = true;
      stage.untilMaster('n2', 9000);
      stage.expectNotDecided('master-seen-by-peer');
    },
    without: {
      rule: 'only a receiver whose sender is the master counts',
      replacements: one(
        'core/watch/suspicion.js',
        'if (k.now < until && streamsFrom(link.obs, master))',
        'if (k.now < until)',
      ),
      shows: /decided master-seen-by-peer|n2 is master/,
    },
  },
  {
    name: 'B5 a standby still streams from a master that hangs',
    why: 'the connection stands for another minute, and says nothing',
    setting: { nodes: 3, names: 'ANY 1 (n2, n3)' },
    play(stage) {
      stage.writeThrough('n1');
      stage.server('n1').freeze();
      killWorkerAndGuard(stage.host('n1'));
      stage.expect('n3 streams from n1', stage.server('n3').recovery.receiver?.host === 'n1');
      stage.untilAnyMaster(['n2', 'n3'], 25_000);
    },
    without: {
      rule: 'its last message must be younger than T',
      replacements: one(
        'core/watch/suspicion.js',
        'if (k.now < until && streamsFrom(link.obs, master))',
        'if (streamsFrom(link.obs, master))',
      ),
      shows: /one of n2, n3 is master/,
    },
  },
  {
    name: 'B6 an old query holds up the replay of the candidate',
    why: 'pg_promote waits for replay, and replay for the query',
    setting: { nodes: 3, names: 'ANY 1 (n2, n3)', neverMaster: ['n3'] },
    play(stage) {
      runLongQuery(stage.server('n2'), 600_000);
      stage.writeThrough('n1');
      stage.run(100);
      stage.server('n1').crash('kill -9');
      stage.untilMaster('n2', 10_000);
    },
    without: {
      rule: 'replay that does not end is helped: resumed, and the sessions that block it ended',
      replacements: one('core/election/freeze.js', "!e.sent.has('own resumed') &&", 'false &&'),
      shows: /n2 is master/,
    },
  },
  {
    name: 'B10 every server is full when the votes are needed',
    why: 'new sessions are refused exactly then',
    setting: { nodes: 3, names: 'ANY 1 (n2, n3)' },
    play(stage) {
      for (const { name, server } of stage.cluster.hosts) {
        const accept = server.accept.bind(server);
        server.accept = (connection, kind, database, answer) =>
          name !== 'n1' && stage.now < fullUntil
            ? answer('speaks')
            : accept(connection, kind, database, answer);
      }
      const fullUntil = stage.now + 60_000;
      stage.powerOff('n1');
      stage.untilAnyMaster(['n2', 'n3'], 25_000);
    },
    without: {
      rule: 'a session to every voter is open at all times',
      replacements: one(
        'core/links.js',
        "if (link.session !== 'none')\n            continue;",
        "if (link.session !== 'none' || (k.role.kind !== 'electing' && k.role.kind !== 'master' && link.voter !== k.settings.name && link.voter !== k.registry?.master))\n            continue;",
      ),
      shows: /one of n2, n3 is master/,
    },
  },
  {
    name: 'a node is to be removed while no majority of the rest can be had',
    why: 'who is removed gets back its own names first, and who is held behind the master gets the hold',
    setting: { nodes: 3, names: 'ANY 1 (n1, n3)', settings: { quorum: 'strict' } },
    play(stage) {
      stage.powerOff('n3');
      stage.run(12_000);
      const n2 = stage.server('n2');
      const changes: (string | null)[] = [];
      const alterSystem = n2.alterSystem.bind(n2);
      n2.alterSystem = (change) => {
        if (change.autoNames !== undefined) changes.push(change.autoNames);
        alterSystem(change);
      };
      const row = stage.row('n1');
      const nodes = row.nodes.filter(({ name }) => name !== 'n2');
      stage.server('n1').writeRow({ ...row, nodes, version: row.version + 1 });
      stage.run(20_000);
      stage.expect(`its names are set once, not ${changes.length} times`, changes.length === 1);
      Reflect.deleteProperty(n2, 'alterSystem');
      stage.boot('n3');
      stage.untilDecision('n1', 'voter-removed');
    },
    without: {
      rule: 'a node that is to be removed is held behind the master without the hold',
      replacements: one('core/roles/tending.js', 'leaves ? obs.names :', ''),
      shows: /its names are set once/,
    },
  },
  {
    name: 'I25 a promoted server without a majority, and others that have its promotion and fought for later epochs',
    why: 'they wait for it, since it may have what is missing; it waits until they are copied from it. Their ballots tell that what they have is of its promotion, so their votes are asked for',
    setting: { nodes: 5, names: 'ANY 1 (n1, n2, n3, n4, n5)' },
    play(stage) {
      const others = ['n3', 'n4', 'n5'];
      promotedWithoutItsRow(stage, others);
      // While one of them has the votes, n2 sees what all of them have.
      stage.forgetDecisions();
      stage.until('one of them has the votes', () => stage.decisions('votes-held').length > 0);
      const candidate = stage.expectDecided('votes-held').host;
      stage.until('it is blocked', () => stage.decisions('election-blocked', candidate).length > 0, 3000);
      stage.forgetDecisions();
      stage.until('it has them again', () => stage.decisions('votes-held').length > 0);
      const holder = stage.expectDecided('votes-held').host;
      stage.host(holder).stallWorker();
      stage.heal('n2', others);
      stage.run(1000);
      stage.host(holder).resumeWorker();
      stage.untilMaster('n2', 60_000);
    },
  },
  {
    name: 'I25 a node followed a promotion without a row, and the master of before kept its place',
    why: 'its registry row is that of the master, so nothing but its timeline tells that it cannot follow',
    setting: { nodes: 3, names: 'ANY 1 (n1, n2, n3)', neverMaster: ['n2'] },
    play(stage) {
      stage.at('n3', 'promoting', () => {
        stage.cluster.world.after(2, () => killWorkerAndGuard(stage.host('n3')));
      });
      seemsDead(stage, 'n1', ['n2', 'n3']);
      stage.untilDecision('n3', 'promoting');
      stage.until('n2 has something of it', () => stage.server('n2').branch.tli === 2);
      stage.powerOff('n3');
      stage.heal('n1');
      // With the votes of n1 and n3 that of n2 is not needed.
      stage.boot('n3');
      stage.untilDecision('n2', 'rejoined');
      stage.untilMaster('n1');
      stage.writeThrough('n1');
    },
    without: {
      rule: 'who is of another history than the master is brought back, also where it is not pointed at the master',
      replacements: one(
        'core/roles/coming-back.js',
        '(!isPointedHere && !lacksPromotion && !otherHistory)',
        '(!isPointedHere && !lacksPromotion)',
      ),
      shows: /n2 decides rejoined/,
    },
  },
];
