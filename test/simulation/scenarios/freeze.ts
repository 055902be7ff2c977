/** What an election may believe: positions (A3), who follows (A5, A7, B13), the registry it judges by (A6). */
import type { Replacement } from '../mutated-core.js';
import { killWorkerAndGuard } from './guards.js';
import { one, type Scenario } from './scenario.js';
import type { Stage } from './stage.js';

const readToEndIgnored: readonly Replacement[] = [
  {
    file: 'core/ranking.js',
    find: 'return !obs.inRecovery || (obs.readToEnd && obs.replayed >= obs.received);',
    replace: 'return !obs.inRecovery || obs.replayed >= obs.received;',
  },
];

const frozenWhenPointed: readonly Replacement[] = one(
  'core/election/election-round.js',
  'obs.ballot === epoch && streamsFrom(obs, self)',
  'obs.ballot === epoch',
);

/** That standby accepts connections long before it has read its own WAL, and shows less than it has. */
function bootsReadingFor(stage: Stage, name: string, ms: number, shown: number): void {
  const server = stage.server(name);
  server.readsWalMs = ms;
  stage.host(name).powerOn();
  server.start();
  server.recovery.replayed = shown;
  stage.host(name).startWorker();
}

/** n1 hangs with all its processes, and only its worker is gone for good; the server goes on when it is told to. */
function hangs(stage: Stage, name: string): void {
  stage.server(name).freeze();
  killWorkerAndGuard(stage.host(name));
}

export const freeze: readonly Scenario[] = [
  {
    name: 'A3 after a power cut the member that alone has a commit shows less than it has',
    why: 'a restarted standby has no receive position, and replay says where replay is, not where the disk is',
    setting: { nodes: 5, names: 'ANY 1 (n2, n3)', neverMaster: ['n3', 'n4', 'n5'] },
    play(stage) {
      for (const name of ['n2', 'n4', 'n5']) stage.stallStream(name);
      const commit = stage.writeThrough('n1');
      stage.expectOn(commit, ['n1', 'n3']);
      stage.powerOff('n1', 'n2', 'n3', 'n4', 'n5');
      stage.run(1000);
      stage.boot('n2', 'n4', 'n5');
      bootsReadingFor(stage, 'n3', 70_000, stage.server('n2').end);
      stage.neverMaster(['n2', 'n3', 'n4', 'n5'], 65_000);
      stage.untilBlockedOn('n2', 'n3');
      stage.untilMaster('n2');
      stage.expect('the commit is there', stage.has('n2', commit));
    },
    without: {
      rule: 'what a standby shows before it has read its own WAL counts for nothing, and only a running receiver is frozen',
      replacements: [...readToEndIgnored, ...frozenWhenPointed],
      shows: /^(S2|S3): |becomes master/,
    },
  },
  {
    name: 'A3 the same with sync off: an established row would be forgotten',
    why: 'without a synchronous set nothing but the comparison of logs keeps what a majority has',
    setting: { nodes: 3, names: '', neverMaster: ['n3'] },
    play(stage) {
      stage.cut('n2', ['n1', 'n3']);
      stage.run(1000);
      const { server } = stage.host('n1');
      server.writeRow({ ...stage.row('n1'), version: stage.row('n1').version + 1 });
      stage.run(1000);
      const { version } = stage.row('n1');
      stage.powerOff('n1', 'n2', 'n3');
      stage.heal('n2');
      stage.boot('n2');
      bootsReadingFor(stage, 'n3', 80_000, stage.server('n2').end);
      stage.writeAll();
      stage.neverMaster(['n2', 'n3'], 75_000);
      stage.untilMaster('n2');
      stage.expect('the row is there', stage.row('n2').version >= version);
    },
    without: {
      rule: 'what a standby shows before it has read its own WAL counts for nothing',
      replacements: readToEndIgnored,
      shows: /^S3: |becomes master/,
    },
  },
  {
    name: 'A5 a node counted as frozen is pointed back while the candidate is held up',
    why: 'a statement of an old decision may run at any time on a session that does not hold the vote',
    setting: { nodes: 5, names: 'ANY 1 (n2, n3)', settings: { fencingCommand: true } },
    play(stage) {
      stage.cut('n1', ['n2', 'n3', 'n4', 'n5']);
      killWorkerAndGuard(stage.host('n1'));
      // n2's worker stands still between the count and pg_promote; meanwhile the late statement runs on n3.
      stage.at('n2', 'nodes-frozen', () => {
        stage.host('n2').stallWorker();
        stage.heal('n1', 'n3');
        const { server } = stage.host('n3');
        server.alterSystem({ primaryConninfo: 'host=n1 port=5432 user=keeper application_name=n3' });
        server.reload();
      });
      stage.untilDecision('n2', 'nodes-frozen');
      stage.until('n3 streams from n1 again', () => stage.server('n3').recovery.receiver?.host === 'n1');
      stage.run(500);
      const commit = stage.writeThrough('n1');
      stage.expectOn(commit, ['n1', 'n3']);
      stage.host('n2').resumeWorker();
      stage.untilDecision('n2', 'election-aborted');
      stage.cut('n1', 'n3');
      const master = stage.untilAnyMaster(['n2', 'n3']);
      stage.expect('the commit is there', stage.has(master, commit));
    },
    without: {
      rule: 'what was frozen is seen so once more before pg_promote, on the sessions held since',
      replacements: one(
        'core/election/promotion.js',
        'if (!e.frozen.has(voter.name)) {',
        'if (link.vote.renewedAt >= 0) {',
      ),
      shows: /^S2: /,
    },
  },
  {
    name: 'A6 k was lowered, and the candidate has the row but has not replayed it',
    why: 'every SQL read shows the replayed state, not what was received',
    setting: { nodes: 5, names: 'ANY 2 (n2, n3)', neverMaster: ['n4', 'n5'] },
    play(stage) {
      const late = ['n2', 'n4', 'n5'];
      for (const name of late) {
        stage.server(name).replayDelayMs = 60_000;
        // A worker that saw the new row on the master would know better.
        stage.host(name).killWorker();
      }
      stage.wishNames('ANY 1 (n2, n3)');
      stage.untilDecision('n1', 'sync-changed');
      stage.run(1000);
      for (const name of late) {
        stage.stallStream(name);
        stage.server(name).replayDelayMs = 0;
      }
      stage.expectOn(stage.writeThrough('n1'), ['n1', 'n3']);
      stage.expect('n2 reads the old k', stage.row('n2').syncNeeded === 2);
      stage.powerOff('n1', 'n3');
      for (const name of late) stage.host(name).startWorker();
      stage.neverMaster(late, 65_000);
      stage.untilBlockedOn('n2', 'n3');
    },
    without: {
      rule: 'the registry is judged after everything received is replayed',
      replacements: [
        {
          file: 'core/election/freeze.js',
          find: 'if (own.obs === null || !isSettled(own.obs))',
          replace: 'if (own.obs === null)',
        },
        { file: 'core/ranking.js', find: '(isSettled(theirs) ||', replace: '(true ||' },
      ],
      shows: /^S2: |becomes master/,
    },
  },
  {
    name: 'A7 blocked replay keeps the old stream, and it acknowledges',
    why: 'a changed primary_conninfo takes effect when the startup process next needs WAL, not before',
    setting: { nodes: 5, names: 'ANY 1 (n2, n3)' },
    play(stage) {
      stage.server('n3').recovery.paused = true;
      stage.writeThrough('n1');
      stage.run(100);
      stage.cut('n1', ['n2', 'n4', 'n5']);
      hangs(stage, 'n1');
      stage.untilDecision('n2', 'votes-held');
      stage.run(140);
      stage.server('n1').thaw();
      stage.run(1);
      const commit = stage.write('n1');
      stage.run(5000);
      stage.expect('n1 acknowledged it by n3', commit.acknowledged);
      const master = stage.untilAnyMaster(['n2', 'n3']);
      stage.expect('the commit is there', stage.has(master, commit));
    },
    without: {
      rule: 'frozen is a receiver that streams from the candidate, seen on the session of the vote',
      replacements: frozenWhenPointed,
      shows: /^S2: |the commit is there/,
    },
  },
  {
    name: 'B13 primary_conninfo on the command line of a node beats what the candidate writes',
    why: 'ALTER SYSTEM succeeds and changes nothing: only the running receiver tells',
    setting: { nodes: 3, names: 'ANY 1 (n2, n3)', neverMaster: ['n3'] },
    play(stage) {
      const { server } = stage.host('n3');
      const alterSystem = server.alterSystem.bind(server);
      const { primaryConninfo } = server.configuration;
      server.alterSystem = (change) => alterSystem({ ...change, primaryConninfo });
      stage.powerOff('n1');
      stage.neverMaster(['n2', 'n3'], 60_000);
      stage.expectDecided('votes-held');
      stage.expectDecided('election-aborted');
      stage.expectNotDecided('promoting');
      // The operator starts it without.
      server.alterSystem = alterSystem;
      stage.untilAnyMaster(['n2', 'n3']);
    },
    without: {
      rule: 'only what is seen counts: a receiver that streams, a ballot that is read',
      replacements: [
        ...one(
          'core/election/freeze.js',
          'const here = new Set([...e.frozen, k.settings.name].filter((name) => heldNames.has(name)));',
          'const here = heldNames;',
        ),
        ...one(
          'core/election/freeze.js',
          'if (e.balloted.has(voter.name) && isComparable(link.obs, ours))',
          'if (true)',
        ),
      ],
      shows: /becomes master|decided promoting/,
    },
  },
];
