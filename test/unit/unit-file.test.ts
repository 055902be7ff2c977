/** deploy/pgkeeper.service: what it must say so that a hanging worker ends and its guard does not, and that systemd reads it. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { skipLoudly } from '../support/skip.js';

const deploy = fileURLToPath(new URL('../../../deploy', import.meta.url));
const unit = readFileSync(join(deploy, 'pgkeeper.service'), 'utf8');

function settingOf(key: string): string | undefined {
  return new RegExp(`^${key}=(.*)$`, 'm').exec(unit)?.[1];
}

test('a hanging worker is killed for certain, and nothing but the worker', () => {
  assert.equal(settingOf('Type'), 'notify');
  assert.equal(settingOf('NotifyAccess'), 'all');
  assert.equal(settingOf('WatchdogSignal'), 'SIGKILL');
  assert.equal(settingOf('KillMode'), 'process');
  assert.equal(settingOf('Restart'), 'always');
  assert.equal(settingOf('OOMPolicy'), 'continue');
});

test('WatchdogSec is half of the default lease_ttl', () => {
  const defaultT = 5 * 3;
  assert.equal(settingOf('WatchdogSec'), `${(defaultT * (2 / 3)) / 2}s`);
});

test('systemd finds nothing wrong with the units, the optional line included', (context) => {
  if (spawnSync('systemd-analyze', ['--version']).status !== 0)
    return skipLoudly(context, 'no systemd-analyze (apt-get install systemd)');
  const folder = mkdtempSync(join(tmpdir(), 'pgkeeper-unit-'));
  try {
    const path = join(folder, 'pgkeeper.service');
    const failed = join(folder, 'pgkeeper-failed@pgkeeper.service');
    // A user that this machine has.
    const here = unit.replace(/^User=.*$/m, 'User=root').replace(/^Group=.*$/m, 'Group=root');
    writeFileSync(path, here.replace(/^#ExecStopPost/m, 'ExecStopPost'));
    copyFileSync(join(deploy, 'pgkeeper-failed@.service'), failed);
    for (const one of [path, failed]) {
      const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', one], { encoding: 'utf8' });
      assert.equal(status, 0, stderr);
      assert.equal(`${stdout}${stderr}`.trim(), '');
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
