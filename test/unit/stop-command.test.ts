/** A stop_command that returns 0 and leaves the server running, as `systemctl stop` does for a server outside its unit: pg_ctl stops it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { serverProcesses } from '../../src/process/processes.js';
import { createServerControl } from '../../src/process/server-control.js';

test('a stop_command that stops nothing is made up for by pg_ctl', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pgkeeper-stop-'));
  const data = join(folder, 'data');
  mkdirSync(data);
  // A process is known by its name and its working directory.
  const postgres = join(folder, 'postgres');
  copyFileSync('/bin/sleep', postgres);
  const server = spawn(postgres, ['60'], { cwd: data, stdio: 'ignore' });
  try {
    const ended = new Promise((resolve) => server.once('exit', resolve));
    writeFileSync(join(folder, 'pg_ctl'), `#!/bin/sh\nkill ${server.pid}\n`, { mode: 0o755 });
    const control = createServerControl({
      dataDirectory: () => data,
      binDirectory: () => folder,
      startCommand: () => 'true',
      stopCommand: () => 'true',
    });
    assert.equal(serverProcesses(data).length, 1);
    await control.stop('fast', 5000);
    await Promise.race([ended, delay(3000)]);
    assert.equal(serverProcesses(data).length, 0);
  } finally {
    server.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
});
