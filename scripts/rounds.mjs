// Runs compiled test files round by round and counts what passed: used by `npm test` and `npm run faults`.
import { existsSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { root } from './setup.mjs';

const built = join(root, 'build', 'test');
export const minute = 60_000;

/** Test files of a folder of test/ whose path contains `pattern`, without what an older build left. */
export function filesIn(folder, pattern) {
  const path = join(built, folder);
  const all = existsSync(path) ? readdirSync(path, { recursive: true }) : [];
  return all
    .filter((name) => name.endsWith('.test.js'))
    .map((name) => join(path, name))
    .filter((name) => existsSync(join(root, relative(join(root, 'build'), name)).replace(/\.js$/, '.ts')))
    .filter((name) => name.includes(pattern))
    .sort();
}

export const total = { passed: 0, failed: 0, skipped: 0 };
/** Told once more at the very end: what was printed at the time may be thousands of lines before. */
const failures = [];

/** The first lines say what is wrong, the rest is logs. */
function headOf(error) {
  const { message = '' } = error?.cause ?? error ?? {};
  const lines = String(message)
    .split('\n')
    .filter((line) => line.trim() !== '');
  return lines.slice(0, 6).map((line) => `      ${line.trim().slice(0, 300)}`);
}

/** The same files may be run again on another server: each round is a process environment of its own. */
export async function round(title, files, { concurrency, environment = {}, timeoutMs }) {
  if (files.length === 0) return;
  console.log(`\n== ${title}`);
  Object.assign(process.env, environment);
  const stream = run({ files, concurrency, timeout: timeoutMs });
  stream.on('test:pass', ({ details, skip }) => {
    if (details.type === 'suite') return;
    if (skip === undefined || skip === false) total.passed += 1;
    else total.skipped += 1;
  });
  stream.on('test:fail', ({ name, details }) => {
    // A suite fails with its tests; what breaks it besides, such as its preparation, is a failure of its own.
    if (details.error?.failureType === 'subtestsFailed') return;
    total.failed += 1;
    failures.push(`  ${title}: ${name}`, ...headOf(details.error));
  });
  await new Promise((resolve, reject) => {
    const output = stream.compose(new spec());
    output.on('error', reject);
    output.on('end', resolve);
    output.pipe(process.stdout, { end: false });
  });
}

/** Says what came of all rounds and ends the process. */
export function finish() {
  if (failures.length > 0) console.log(`\nfailed:\n${failures.join('\n')}`);
  console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
  process.exit(total.failed === 0 && total.passed > 0 ? 0 : 1);
}
