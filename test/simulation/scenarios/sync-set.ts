/** Changes of the synchronous set: what was acknowledged before them (A1), and what the server really does (A2). */
import { one, type Scenario, type Without } from './scenario.js';
import type { Stage } from './stage.js';
import { stallDisk } from './streams.js';

const registryFirst: Without = {
  rule: 'a change that strengthens goes under hold: the new set has flushed everything before the registry says so',
  replacements: one(
    'core/sync/sync-plan.js',
    "return { path: 'under-hold', target: desired };",
    "return { path: 'registry-first', target: desired };",
  ),
  shows: /^S4: commit \d+ on n1 is on 0 of/,
};

const noRest = one('core/roles/standby.js', 'restUnderHold(k, turn, role, obs);', '');

/** The master acknowledges nothing by names that its registry does not say yet. */
function untilAbandoned(stage: Stage): void {
  stage.untilDecision('n1', 'sync-change');
  stage.untilDecision('n1', 'sync-change-abandoned');
}

/** Both members lost for T while n4 and n5 vote on; n3 comes back later. */
function degrade(stage: Stage): void {
  for (const name of ['n2', 'n3']) stage.server(name).stop(() => undefined);
  stage.untilDecision('n1', 'went-async');
  stage.run(2000);
  stage.expectDecided('sync-changed', 'n1');
}

function comesBack(stage: Stage, name: string): void {
  stage.server(name).start();
  const streams = () =>
    stage.server('n1').senders.some((sender) => sender.name === name && sender.state === 'streaming');
  stage.until(`${name} streams`, streams);
}

/** Clients that come all the while: an acknowledgement that slips through is seen. */
function writeOften(stage: Stage, name: string, forMs: number): void {
  for (let ms = 0; ms < forMs; ms += 50) {
    stage.write(name);
    stage.run(50);
  }
}

export const syncSet: readonly Scenario[] = [
  {
    name: 'A1 a member that alone has a commit is removed from the names',
    why: 'the new set was promised only what is acknowledged after the change',
    setting: { nodes: 3, witnesses: 2, names: 'ANY 1 (n2, n3)' },
    play(stage) {
      stage.stallStream('n2');
      stage.expectOn(stage.writeThrough('n1'), ['n1', 'n3']);
      stage.wishNames('ANY 1 (n2)');
      untilAbandoned(stage);
      stage.expect('R is as before', stage.row('n1').syncMembers.join() === 'n2,n3');
      stage.powerOff('n1', 'n3');
      stage.untilBlockedOn('n2', 'n3');
      stage.neverMaster(['n2'], 30_000);
    },
    without: registryFirst,
  },
  {
    name: 'A1 k is raised while a commit is on one member only',
    why: 'a single frozen member would be enough for two acknowledgements that never were',
    setting: { nodes: 3, witnesses: 2, names: 'ANY 1 (n2, n3)' },
    play(stage) {
      stage.stallStream('n3');
      stage.expectOn(stage.writeThrough('n1'), ['n1', 'n2']);
      stage.wishNames('ANY 2 (n2, n3)');
      untilAbandoned(stage);
      stage.expect('k is as before', stage.row('n1').syncNeeded === 1);
      stage.powerOff('n1', 'n2');
      stage.untilBlockedOn('n3', 'n2');
      stage.neverMaster(['n3'], 30_000);
    },
    without: { ...registryFirst, shows: /^S4: commit \d+ on n1 is on 1 of/ },
  },
  {
    name: 'A1 degraded is left while the returning standby lacks what was acknowledged meanwhile',
    why: 'leaving degraded adds members and raises k at once',
    setting: { nodes: 5, names: 'ANY 1 (n2, n3)' },
    play(stage) {
      degrade(stage);
      const commit = stage.writeThrough('n1');
      stage.run(100);
      stage.expectOn(commit, ['n1', 'n4', 'n5']);
      comesBack(stage, 'n3');
      // From here on the disk of n3 stands still.
      stage.stallStream('n3');
      stage.writeThrough('n1');
      untilAbandoned(stage);
      stage.expect('still degraded', stage.row('n1').syncNeeded === 0);
      stage.powerOff('n1');
      stage.untilBlockedOn('n3', 'n1, n2');
      stage.neverMaster(['n3', 'n4', 'n5'], 30_000);
    },
    without: registryFirst,
  },
  {
    name: 'A1 the new epoch names a member that lags, and its worker reads so before its server has it',
    why: 'what a worker read on a server that is gone since is on no majority, and promises what nobody has',
    setting: { nodes: 5, names: 'ANY 1 (n1, n2, n3)' },
    play(stage) {
      const late = ['n3', 'n4', 'n5'];
      const ends = late.map((name) => stallDisk(stage.server(name)));
      stage.expectOn(stage.writeThrough('n1'), ['n1', 'n2']);
      stage.powerOff('n1');
      stage.untilDecision('n2', 'promoted');
      stage.run(500);
      stage.powerOff('n2');
      for (const name of late) stage.server(name).crash('kill -9');
      for (const end of ends) end();
      stage.neverMaster(late, 30_000);
      stage.untilBlockedOn('n3', 'n2');
    },
    without: {
      rule: 'an election is judged by the rows in its own WAL and on the witnesses it holds',
      replacements: one(
        'core/election/freeze.js',
        'const registry = rowInForce(k, obs.registry);',
        'const registry = k.registry;',
      ),
      shows: /^S2: |becomes master/,
    },
  },
  {
    name: 'A2 the checkpointer is in long fsyncs when a standby is promoted',
    why: 'only the checkpointer switches waiting on; names set just before pg_promote come too late',
    setting: { nodes: 3, names: 'ANY 1 (n1, n2, n3)', onlyOnMaster: true },
    play(stage) {
      stage.server('n2').checkpointerBusyUntil = stage.now + 60_000;
      stage.server('n1').crash('kill -9');
      let slipped = false;
      stage.at('n2', 'promoted', () => {
        // n3 can acknowledge nothing: the epoch cannot be on a majority.
        stage.cut('n2', 'n3');
        const commit = stage.write('n2');
        slipped = commit.acknowledged;
      });
      stage.untilDecision('n2', 'promoted');
      stage.expect('the first commit of the new master waits', !slipped);
      stage.run(1000);
      stage.heal('n2', 'n3');
    },
    without: {
      rule: 'hold is the resting value of every standby',
      replacements: [
        { file: 'core/roles/tending.js', find: "registry.syncWished > 0 ? holdNames : ''", replace: "''" },
        // Its own worker would see to it.
        ...noRest,
      ],
      shows: /^S4: n2 acknowledged without waiting/,
    },
  },
  {
    name: 'I19 synchronous replication is switched on while the master’s worker cannot reach a standby that streams',
    why: 'nobody else would put it under hold before it is promoted, and then its checkpointer may be late',
    setting: { nodes: 3, names: '', neverMaster: ['n3'] },
    play(stage) {
      const { server } = stage.host('n2');
      const { accept } = server;
      server.accept = (...call) => {
        if (call[1] === 'worker' && call[0].ends[0].name === 'n1') call[3]('refused');
        else accept.apply(server, call);
      };
      stage.endSessionOn('n2', 'n1');
      stage.server('n1').alterSystem({ userNames: 'ANY 1 (n1, n2)' });
      stage.server('n1').reload();
      stage.host('n1').hint();
      stage.untilDecision('n1', 'sync-changed');
      stage.run(10_000);
      server.accept = accept;
      stage.powerOff('n1');
      stage.at('n2', 'votes-held', () => {
        server.checkpointerBusyUntil = stage.now + 15_000;
      });
      let slipped = false;
      stage.at('n2', 'promoted', () => {
        stage.cut('n2', 'n3');
        slipped = stage.write('n2').acknowledged;
      });
      stage.untilDecision('n2', 'promoted');
      stage.expect('the first commit of the new master waits', !slipped);
      stage.run(1000);
      stage.heal('n2', 'n3');
    },
    without: {
      rule: 'a standby puts itself under hold when its own row wishes sync',
      replacements: noRest,
      shows: /^S4: n2 acknowledged without waiting/,
    },
  },
  {
    name: 'I19 a degraded master dies with its worker, and the next worker finds its server dead',
    why: 'its names are empty, and that worker knows of no wish when it fences the server',
    setting: { nodes: 2, witnesses: 1, names: 'ANY 1 (n1, n2)' },
    play(stage) {
      stage.powerOff('n2');
      stage.untilDecision('n1', 'went-async');
      stage.run(1000);
      stage.powerOff('n1');
      const { host, server } = { host: stage.host('n1'), server: stage.server('n1') };
      host.powerOn();
      // From its first checkpoint on.
      server.checkpointerBusyUntil = stage.now + 120_000;
      host.startWorker();
      stage.until('its server is up again', () => server.life === 'up');
      stage.boot('n2');
      let slipped = false;
      stage.at('n1', 'promoted', () => {
        // Nobody can acknowledge anything: the epoch cannot be on a majority.
        stage.isolate('n1');
        slipped = stage.write('n1').acknowledged;
      });
      stage.untilDecision('n1', 'promoted');
      stage.expect('the first commit of the new epoch waits', !slipped);
      stage.run(1000);
      stage.heal('n1');
    },
    without: {
      rule: 'a server that is fenced by a worker that knows no registry is put under hold',
      replacements: one(
        'core/own-server/own-server.js',
        'k.registry === null || k.registry.syncWished > 0',
        'k.registry?.syncWished > 0',
      ),
      shows: /^S4: n1 acknowledged without waiting|the first commit of the new epoch waits/,
    },
  },
  {
    name: 'A2 the checkpointer is in long fsyncs when degraded is left',
    why: 'SHOW has the new names at once, and commits do not wait',
    setting: { nodes: 5, names: 'ANY 1 (n2, n3)' },
    play(stage) {
      degrade(stage);
      stage.server('n1').checkpointerBusyUntil = stage.now + 20_000;
      comesBack(stage, 'n3');
      stage.untilDecision('n1', 'sync-change');
      writeOften(stage, 'n1', 4000);
      stage.expectDecided('sync-change-abandoned', 'n1');
      stage.expect('still degraded', stage.row('n1').syncNeeded === 0);
      stage.untilDecision('n1', 'back-to-sync');
    },
    without: {
      rule: 'the hold is proven by a commit that is seen waiting',
      replacements: one('core/sync/sync-change.js', 'if (answer.proven) {', 'if (true) {'),
      shows: /^S4: n1 acknowledged without waiting/,
    },
  },
  {
    name: 'A2 a walsender that has not reloaded lets a commit go by the old k',
    why: 'each walsender has its own copy of k, and ANY shows priority 1 for every k',
    setting: { nodes: 3, names: 'ANY 1 (n2, n3)' },
    play(stage) {
      const sender = stage.server('n1').senders.find(({ name }) => name === 'n2');
      if (sender === undefined) throw new Error('n2 does not stream');
      const reload = sender.reload.bind(sender);
      sender.reload = () => stage.cluster.world.after(1500, reload);
      stage.wishNames('ANY 2 (n2, n3)');
      stage.untilDecision('n1', 'sync-change');
      stage.run(300);
      stage.stallStream('n3');
      writeOften(stage, 'n1', 1000);
      stage.expectNotDecided('sync-changed');
      stage.run(500);
      stage.letStreamGo('n3');
      stage.untilDecision('n1', 'sync-changed');
      stage.expect('two are asked for', stage.row('n1').syncNeeded === 2);
    },
    without: {
      rule: 'the hold is proven: no walsender counts any more',
      replacements: one('core/sync/sync-change.js', 'if (answer.proven) {', 'if (true) {'),
      shows: /^S4: /,
    },
  },
  {
    name: 'the first synchronous set is given up while it is changed to',
    why: 'its hold would stay for ever: where nothing is managed nobody compares names',
    setting: { nodes: 3, names: '' },
    play(stage) {
      stage.stallStream('n2');
      stage.wishNames('ANY 2 (n2, n3)');
      untilAbandoned(stage);
      stage.wishNames('');
      stage.run(1000);
      stage.writeThrough('n1');
    },
    without: {
      rule: 'the hold of an abandoned change is taken back also where nothing was managed before',
      replacements: one('core/sync/master-sync.js', '!managed && obs.names === holdNames &&', 'false &&'),
      shows: /n1 acknowledges a write/,
    },
  },
];
