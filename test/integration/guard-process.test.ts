/**
 * The guard alone, without worker and PostgreSQL: what it does with its orders, signals and a directory that moves. The
 * "server" is a process called postgres that runs in the data directory, which is how the guard knows one.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { encodeOrder, guardMeeting } from '../../src/process/guard/guard-protocol.js';
import { serverProcesses } from '../../src/process/processes.js';
import { until } from '../../src/testbed/until.js';
import { environment, program } from '../support/command-line.js';

describe('the guard process', {
  concurrency: false,
  skip: process.platform === 'linux' ? false : 'the guard needs Linux',
}, () => {
  let folder: string;
  let data: string;
  const children: ChildProcess[] = [];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'pgkeeper-guard-'));
    data = join(folder, 'data');
    mkdirSync(data);
  });

  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });

  function startServer(): ChildProcess {
    const binary = join(folder, 'postgres');
    copyFileSync('/bin/sleep', binary);
    const server = spawn(binary, ['1000'], { cwd: data, stdio: 'ignore' });
    children.push(server);
    return server;
  }

  function startGuard(): ChildProcess {
    const guard = spawn(process.execPath, [program, 'guard', '-D', data, '--node-name', 'n1'], {
      cwd: '/',
      env: environment(),
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    children.push(guard);
    return guard;
  }

  /** The first order, as a worker gives it at the start. `inMs` from now. */
  function order(guard: ChildProcess, inMs: number): void {
    const { secret } = guardMeeting(data);
    const now = performance.now();
    guard.stdin?.write(
      encodeOrder({ kind: 'end-at', at: now + inMs, syncWished: true, proven: true }, now, secret),
    );
  }

  const isAlive = ({ exitCode, signalCode }: ChildProcess) => exitCode === null && signalCode === null;
  const isFenced = (directory: string) =>
    existsSync(join(directory, 'standby.signal')) &&
    readFileSync(join(directory, 'postgresql.auto.conf'), 'utf8').includes('pg_keeper.fenced');

  test('a worker that dies before it could connect has armed it all the same', async () => {
    const server = startServer();
    await until('the server runs', () => serverProcesses(data).length === 1);
    const guard = startGuard();
    order(guard, 1500);
    guard.stdin?.end();
    await delay(500);
    assert.ok(isAlive(server));
    await until('the server is ended', () => !isAlive(server));
    await until('the guard leaves', () => !isAlive(guard));
    assert.ok(isFenced(data));
  });

  test('its work does not need a reader of its log', async () => {
    const server = startServer();
    const guard = startGuard();
    guard.stdout?.destroy();
    order(guard, 1000);
    await until('the guard leaves', () => !isAlive(guard));
    assert.equal(guard.exitCode, 0);
    assert.equal(isAlive(server), false);
    assert.ok(isFenced(data));
  });

  test('a data directory that was renamed is still the one that it ends and marks', async () => {
    const server = startServer();
    const guard = startGuard();
    order(guard, 3000);
    await until('the guard listens', () => readFileSync('/proc/net/unix', 'utf8').includes(meeting()));
    await delay(300);
    const moved = join(folder, 'moved');
    renameSync(data, moved);
    mkdirSync(data);
    await until('the guard leaves', () => !isAlive(guard));
    assert.equal(isAlive(server), false);
    assert.ok(isFenced(moved));
    assert.equal(existsSync(join(data, 'standby.signal')), false);
  });

  test('a data directory that was deleted keeps neither the server nor the guard', async () => {
    const server = startServer();
    const guard = startGuard();
    order(guard, 2000);
    await until('the guard listens', () => readFileSync('/proc/net/unix', 'utf8').includes(meeting()));
    await delay(300);
    rmSync(data, { recursive: true });
    await until('the guard leaves', () => !isAlive(guard));
    assert.equal(isAlive(server), false);
  });

  test('signals do not end it beside a server; SIGTERM does when the server is gone', async () => {
    const server = startServer();
    const guard = startGuard();
    order(guard, 60_000);
    await until('the guard listens', () => readFileSync('/proc/net/unix', 'utf8').includes(meeting()));
    for (const signal of ['SIGINT', 'SIGHUP', 'SIGTERM'] as const) guard.kill(signal);
    await delay(1500);
    assert.ok(isAlive(guard));
    server.kill('SIGTERM');
    await until('the guard leaves', () => !isAlive(guard), 5000);
    assert.equal(isFenced(data), false, 'the server was stopped by somebody, within its time');
  });

  /** As /proc/net/unix shows the place where it listens. */
  function meeting(): string {
    return guardMeeting(data).socket.replace('\0', '@');
  }
});
