// `npm run faults [-- PATTERN]`: every case of the fault suite on real servers, each on a host of its own (a network namespace, so
// root only). A full run writes docs/faults.md; with PATTERN the files whose path contains it are run, and nothing is written.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { readArguments } from './arguments.mjs';
import { pageOf } from './fault-page.mjs';
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

const usage = `npm run faults [-- [PATTERN] [options]]   (root only)
  PATTERN          the files of test/faults whose path contains it (default: all, and docs/faults.md is written)
  --bin DIR        PostgreSQL's programs in DIR
  --records FILE   keeps there what was measured, with every event, as JSON lines`;
const { values, positionals } = readArguments({
  usage,
  options: { bin: { type: 'string' }, records: { type: 'string' } },
  positionals: 1,
});
const [pattern = ''] = positionals;

installDependencies();
if (values.bin === undefined && systemServer() === null) installNpmServer();
compile();
build();
const paceOf = measurePace();

/** As a reader wants them: one link, many links, one process, what runs out, several things at once. */
const order = 'cuts five-hosts links freezes workers standbys clocks resources double-faults sync-off'.split(
  ' ',
);
const place = (file) => [...order, basename(file, '.test.js')].indexOf(basename(file, '.test.js'));
const files = filesIn('faults', pattern).sort((a, b) => place(a) - place(b));
const folder = mkdtempSync(join(tmpdir(), 'pgkeeper-faults-'));
const recordsPath = join(folder, 'records');
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));

const began = Date.now();
for (const file of files) {
  await round(basename(file, '.test.js'), [file], {
    concurrency: 1,
    environment: {
      PGKEEPER_TEST_BIN: values.bin ?? systemServer() ?? npmServer(),
      PGKEEPER_FAULT_RECORDS: recordsPath,
      ...paceOf(1),
    },
    timeoutMs: 20 * minute,
  });
}
const records = existsSync(recordsPath)
  ? readFileSync(recordsPath, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
  : [];
if (values.records !== undefined)
  writeFileSync(values.records, records.map((record) => `${JSON.stringify(record)}\n`).join(''));
const minutes = Math.round((Date.now() - began) / minute);
const page = pageOf(records, { began, minutes, failed: total.failed });
if (pattern === '' && records.some(({ measured }) => measured !== null))
  writeFileSync(join(root, 'docs', 'faults.md'), page);
else console.log(`\n${page}`);
finish();
