// `npm test [-- PATTERN]`: installs what is missing, checks style and types, then runs every test: the quick ones side by side,
// those with real servers one after the other, on the system's PostgreSQL and on 18 from npm.
// Options: PATTERN runs the files whose path contains it; --quick leaves the real servers out.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import {
  build,
  compile,
  installDependencies,
  installNpmServer,
  npmServer,
  root,
  systemServer,
} from './setup.mjs';

const args = process.argv.slice(2);
const quick = args.includes('--quick');
const pattern = args.find((arg) => !arg.startsWith('--')) ?? '';

let styleFailed = false;
installDependencies();
if (!quick) installNpmServer();
if (pattern === '') {
  const lint = spawnSync(join(root, 'node_modules', '.bin', 'biome'), ['check', '--error-on-warnings', '.'], {
    cwd: root,
    stdio: 'inherit',
  });
  if (lint.status !== 0) styleFailed = true;
}
compile();
build();

const built = join(root, 'build', 'test');
function filesIn(folder) {
  const path = join(built, folder);
  const all = existsSync(path) ? readdirSync(path, { recursive: true }) : [];
  return all
    .filter((name) => name.endsWith('.test.js'))
    .map((name) => join(path, name))
    .filter((name) => existsSync(join(root, relative(join(root, 'build'), name)).replace(/\.js$/, '.ts')))
    .filter((name) => name.includes(pattern))
    .sort();
}

const total = { passed: 0, failed: 0, skipped: 0 };

/** The same files may be run again on another server: each round is a process environment of its own. */
async function round(title, files, { concurrency, environment = {}, timeoutMs }) {
  if (files.length === 0) return;
  console.log(`\n== ${title}`);
  Object.assign(process.env, environment);
  const stream = run({ files, concurrency, timeout: timeoutMs });
  stream.on('test:pass', ({ details, skip }) => {
    if (details.type === 'suite') return;
    if (skip === undefined || skip === false) total.passed += 1;
    else total.skipped += 1;
  });
  stream.on('test:fail', ({ details }) => {
    if (details.type !== 'suite') total.failed += 1;
    else if (details.error?.failureType !== 'subtestsFailed') total.failed += 1;
  });
  await new Promise((resolve, reject) => {
    const output = stream.compose(new spec());
    output.on('error', reject);
    output.on('end', resolve);
    output.pipe(process.stdout, { end: false });
  });
}

const minute = 60_000;
await round('core, settings, command line', filesIn('unit'), { concurrency: 2, timeoutMs: 5 * minute });
await round('a whole cluster in virtual time', filesIn('simulation'), {
  concurrency: 2,
  timeoutMs: 10 * minute,
});
if (!quick) {
  const [system, npm] = [systemServer(), npmServer()];
  const servers = [
    ["the system's PostgreSQL", system],
    ['PostgreSQL 18 from npm', npm],
  ].filter(([, folder]) => folder !== null);
  if (system === null)
    console.log(
      '\n!! This system has no PostgreSQL: what needs pg_rewind, pg_basebackup or pg_dump is not tested (apt-get install postgresql).',
    );
  for (const [title, folder] of servers) {
    await round(`real servers: ${title}`, filesIn('integration'), {
      concurrency: 1,
      environment: { PGKEEPER_TEST_BIN: folder },
      timeoutMs: 10 * minute,
    });
  }
}
if (styleFailed) {
  console.log('\n!! biome found something, see the beginning of this output');
  total.failed += 1;
}
console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exit(total.failed === 0 && total.passed > 0 ? 0 : 1);
