/**
 * The clean stop of a master that hands over. Before it a file in the data directory says so: a worker that finds the server
 * stopped with that file there knows that it was no administrator, and brings it back as a standby.
 */
import { readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { openClient, queryWithDeadline } from '../postgres/connect.js';
import { createFile } from './configuration-change.js';
import { isCleanEnd, readControlFile } from './control-file.js';
import { serverProcesses } from './processes.js';

/** pg_ctl looks ten times a second; the outage should not wait for that. */
const lookMs = 3;

function noteOf(dataDirectory: string): string {
  return join(dataDirectory, 'pgkeeper.handover');
}

export function forgetHandover(dataDirectory: string): void {
  rmSync(noteOf(dataDirectory), { force: true });
}

/** A server that was stopped for a handover which nobody brought to its end. A note from before its last start says nothing. */
export function wasHandingOver(dataDirectory: string): boolean {
  try {
    const started = statSync(join(dataDirectory, 'postmaster.opts')).mtimeMs;
    return statSync(noteOf(dataDirectory)).mtimeMs >= started;
  } catch {
    return false;
  }
}

export interface StopRequest {
  readonly dataDirectory: string;
  /** stop_command, where something else manages the server. */
  readonly byCommand: (() => Promise<void>) | null;
  readonly deadlineMs: number;
}

/** Fast shutdown: sessions end, the shutdown checkpoint is written, walsenders send it before they go. Returns where that one begins. */
export async function stopCleanly({ dataDirectory, byCommand, deadlineMs }: StopRequest): Promise<bigint> {
  // It need not survive a loss of power: whoever boots the machine starts the server.
  forgetHandover(dataDirectory);
  createFile(noteOf(dataDirectory));
  const until = performance.now() + deadlineMs;
  let postmaster: number | null = null;
  if (byCommand === null) postmaster = interrupt(dataDirectory);
  else await Promise.race([byCommand(), delay(deadlineMs, undefined, { ref: false })]);
  // The postmaster ends last; to look through all processes costs more than the server has left to do.
  while (postmaster !== null && isAlive(postmaster) && performance.now() < until) await delay(lookMs);
  while (serverProcesses(dataDirectory).length > 0) {
    if (performance.now() > until) throw new Error(`the server does not stop within ${deadlineMs} ms`);
    await delay(lookMs);
  }
  const { state, checkpoint } = readControlFile(dataDirectory);
  if (!isCleanEnd(state)) throw new Error(`the server ended as "${state}"`);
  return checkpoint;
}

/** Also true for a process of that number whose parent has not asked for it yet. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return process.platform !== 'linux';
  }
}

function interrupt(dataDirectory: string): number {
  const [pid = ''] = readFileSync(join(dataDirectory, 'postmaster.pid'), 'utf8').split('\n');
  const postmaster = serverProcesses(dataDirectory).find((one) => one.pid === Number(pid));
  if (postmaster === undefined) throw new Error('the server does not run');
  process.kill(postmaster.pid, 'SIGINT');
  return postmaster.pid;
}

/** On a fresh connection, so that no vote waits for it. */
export async function checkpointNow(conninfo: string, deadlineMs: number): Promise<void> {
  const client = await openClient(conninfo, {
    applicationName: 'pgkeeper checkpoint',
    connectTimeoutMs: 10_000,
  });
  try {
    await queryWithDeadline(client, 'checkpoint', [], deadlineMs);
  } finally {
    client.end().catch(() => undefined);
  }
}
