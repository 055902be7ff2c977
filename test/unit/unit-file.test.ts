/** The units in deploy/: a hanging worker ends and its guard does not, a server that the worker started is not stopped, systemd reads them. */
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
const serverUnit = readFileSync(join(deploy, 'postgresql-unit.conf'), 'utf8');

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
  assert.equal(settingOf('SyslogIdentifier'), 'pgkeeper');
});

test("the unit of Debian's server stops its own server and no other", () => {
  const [, stop = ''] = /^ExecStop=\/bin\/sh -c '(.+)'$/m.exec(serverUnit) ?? [];
  const script = stop.replace('/usr/bin/pg_ctlcluster', 'echo').replace('%i', '15-main');
  const { MAINPID: _, ...env } = process.env;
  const run = (more: NodeJS.ProcessEnv) =>
    spawnSync('/bin/sh', ['-c', script], { encoding: 'utf8', env: { ...env, ...more } });
  const own = run({ MAINPID: '1' });
  assert.deepEqual([own.status, own.stdout], [0, '--skip-systemctl-redirect -m fast 15-main stop\n']);
  const dead = run({});
  assert.deepEqual([dead.status, dead.stdout], [0, '']);
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
    // The part that is Debian's, and a program that this machine has.
    const server = join(folder, 'postgresql@15-main.service');
    writeFileSync(
      server,
      `${serverUnit.replace('/usr/bin/pg_ctlcluster', '/bin/echo')}Type=forking\nExecStart=/bin/true\n`,
    );
    for (const one of [path, failed, server]) {
      const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', one], { encoding: 'utf8' });
      assert.equal(status, 0, stderr);
      assert.equal(`${stdout}${stderr}`.trim(), '');
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
