/** The options of what `npm run` starts: the usage for --help, a clear word and 2 for what is not understood; nothing runs then. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { packageFolder } from '../support/extension-files.js';

function run(script: string, ...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(packageFolder, script), ...args], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  return { status, stdout, stderr };
}

const programs = [
  ['scripts/test.mjs', 'npm test'],
  ['scripts/faults.mjs', 'npm run faults'],
  ['build/test/simulation/soak.js', 'npm run soak'],
  ['build/test/bench/main.js', 'npm run bench'],
] as const;

for (const [script, name] of programs) {
  test(`${name} shows its usage, and refuses what it does not know`, () => {
    const help = run(script, '--help');
    assert.equal(help.status, 0, help.stderr);
    assert.ok(help.stdout.startsWith(name), help.stdout);
    const wrong = run(script, '--bogus');
    assert.equal(wrong.status, 2);
    assert.equal(wrong.stdout, '');
    assert.match(wrong.stderr, /^Unknown option '--bogus'\n\n/);
    assert.ok(wrong.stderr.includes(help.stdout), 'the usage follows');
    assert.doesNotMatch(wrong.stderr, /^ +at /m);
  });
}

test('a value that is no number, a folder without programs, and a word too much are refused too', () => {
  for (const [script, args, message] of [
    ['build/test/simulation/soak.js', ['--seeds', 'many'], /^--seeds takes a number, not "many"\n/],
    ['build/test/simulation/soak.js', ['n1'], /^"n1" is not understood\n/],
    ['build/test/bench/main.js', ['--bin', '/nowhere'], /^--bin: \/nowhere holds no initdb\n/],
    ['scripts/faults.mjs', ['--records'], /^Option '--records <value>' argument missing\n/],
  ] as const) {
    const { status, stderr } = run(script, ...args);
    assert.equal(status, 2, stderr);
    assert.match(stderr, message);
  }
});
