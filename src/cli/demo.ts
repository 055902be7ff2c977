/**
 * `pgkeeper demo`: a real cluster in a temporary folder, a client that writes all the time, the master killed, and what
 * became of it. Leaves nothing behind, however it ends.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseDuration } from '../core/duration.js';
import { messageOf } from '../core/error-text.js';
import { TestCluster } from '../testbed/cluster.js';
import { type Failover, failOver } from '../testbed/failover.js';
import { findPostgres, type PostgresInstallation } from '../testbed/find-postgres.js';
import { until } from '../testbed/until.js';
import { auditWrites, createWritesTable, Writer, writesTable } from '../testbed/writer.js';
import { CommandFailure, type ExitCode, exitCodes } from './exit-codes.js';
import { print, say, tableLines } from './output.js';
import { runStatus } from './status.js';

export interface DemoOptions {
  readonly nodes?: string;
  readonly bin?: string;
  readonly keep?: boolean;
  readonly keepaliveTime?: string;
  readonly keepaliveCount?: string;
  readonly port?: string;
}

interface Plan {
  readonly nodes: number;
  readonly installation: PostgresInstallation;
  readonly keepaliveTime: string;
  readonly keepaliveCount: number;
  readonly firstPort: number | null;
}

const writeForMs = 2000;

export async function runDemo(options: DemoOptions): Promise<ExitCode> {
  const plan = planOf(options);
  const names = Array.from({ length: plan.nodes }, (_, i) => `n${i + 1}`).join(', ');
  const progress = new Progress();
  const cluster = new TestCluster({
    ...plan,
    program: process.argv[1] ?? '',
    syncNames: `ANY 1 (${names})`,
    progress: (step) => progress.step(step),
  });
  const release = removeAtExit(cluster);
  try {
    const { version, origin, binDirectory } = plan.installation;
    print(
      `${plan.nodes} servers of PostgreSQL ${version} (${origin === 'system' ? binDirectory : origin}), one worker each, in ${cluster.folder}`,
    );
    print(
      `synchronous_standby_names = 'ANY 1 (${names})', failover time T = ${plan.keepaliveTime} x ${plan.keepaliveCount} for a silent master\n`,
    );
    await show(cluster, progress);
    if (options.keep === true) await keepRunning(cluster);
    return exitCodes.done;
  } catch (error) {
    throw new CommandFailure(exitCodes.failed, `the demo failed: ${messageOf(error)}`, [cluster.logs(15)]);
  } finally {
    progress.end();
    await cluster.remove();
    release();
  }
}

async function show(cluster: TestCluster, progress: Progress): Promise<void> {
  await cluster.create();
  progress.step('a client begins to write, one row after the other');
  await createWritesTable(cluster.node('n1').server);
  const writer = new Writer({ servers: cluster.nodes.map(({ server }) => server), number: 1, pauseMs: 1 });
  writer.start();
  try {
    await until('the client writes', () => writer.acknowledged.length > 0);
    await watchWriting(writer, progress, writeForMs);
    const before = writer.acknowledged.length;
    progress.step(`${before} rows acknowledged by n1. SIGKILL to every process of n1 now`);
    const failover = await failOver(cluster, writer, 'kill');
    const { oldMaster, newMaster } = failover;
    progress.step(
      `${newMaster.name} acknowledged the next row ${failover.outageMs.toFixed(0)} ms after the kill`,
    );
    progress.step(`${oldMaster.name} comes back as a standby`);
    await cluster.untilSettled(newMaster.name);
    await watchWriting(writer, progress, writeForMs / 2);
    await writer.stop();
    const audit = await auditWrites([writer], newMaster.server);
    const [back] = await Promise.all([oldMaster.worker.untilDecision('rejoined', 0, 1000).catch(() => null)]);
    progress.end();
    report(failover, audit.acknowledged, audit.lost.length, back?.msg ?? null);
    print();
    await runStatus({ dbname: newMaster.server.conninfo() });
    if (audit.lost.length > 0)
      throw new Error(`${audit.lost.length} acknowledged rows are missing on ${newMaster.name}`);
  } finally {
    await writer.stop();
  }
}

function report(failover: Failover, acknowledged: number, lost: number, back: string | null): void {
  const { oldMaster, newMaster, outageMs, steps } = failover;
  print();
  print(`What ${newMaster.name} did after ${oldMaster.name} was killed (ms):`);
  for (const line of tableLines(
    ['at', 'step'],
    steps.map(({ atMs, what }) => [atMs, what]),
  ))
    print(`  ${line}`);
  print();
  print(`from the kill to the first acknowledged write   ${outageMs.toFixed(0)} ms`);
  print(`acknowledged rows, counted on ${newMaster.name}                ${acknowledged}`);
  print(`of these lost                                   ${lost}`);
  print(`${oldMaster.name}: ${back ?? 'standby again'}`);
}

/** The count is shown while it grows on a terminal only. */
async function watchWriting(writer: Writer, progress: Progress, forMs: number): Promise<void> {
  const end = performance.now() + forMs;
  while (performance.now() < end) {
    progress.live(`${writer.acknowledged.length} rows acknowledged`);
    await delay(100);
  }
}

async function keepRunning(cluster: TestCluster): Promise<void> {
  const [first] = cluster.nodes;
  if (first === undefined) return;
  const psql = join(first.server.installation.binDirectory, 'psql');
  const conninfos = cluster.nodes.map(({ server }) => server.conninfo());
  const hosts = cluster.nodes.map(({ server }) => server.host).join(',');
  const ports = cluster.nodes.map(({ server }) => server.port).join(',');
  print(
    `\nThe cluster keeps running until Ctrl-C, or: kill ${process.pid}\nConnect to whichever server is master:`,
  );
  print(
    `  ${existsSync(psql) ? psql : 'psql'} "host=${hosts} port=${ports} user=postgres dbname=postgres target_session_attrs=read-write"`,
  );
  print('Try:');
  print('  SELECT * FROM pgkeeper.status;');
  print('  SELECT at, node, sentence FROM pgkeeper.events ORDER BY id DESC LIMIT 20;');
  print(`  SELECT count(*) FROM ${writesTable};`);
  print(`and in another shell:`);
  print(`  pgkeeper status --watch -d "${conninfos[0]}"`);
  print(`  pgkeeper explain -d "${conninfos[0]}"`);
  print(
    `  kill -9 $(head -1 ${cluster.folder}/n*/data/postmaster.pid | grep -E '^[0-9]+$' | head -1)   # a server dies`,
  );
  await new Promise(() => setInterval(() => undefined, 60_000));
}

function planOf(options: DemoOptions): Plan {
  const nodes = numberOf(
    '--nodes',
    options.nodes ?? '3',
    3,
    9,
    'two servers have no majority without a witness',
  );
  const keepaliveCount = numberOf('--keepalive-count', options.keepaliveCount ?? '3', 1, 100, '');
  const firstPort =
    options.port === undefined ? null : numberOf('--port', options.port, 1024, 65_535 - nodes, '');
  const keepaliveTime = options.keepaliveTime ?? '1s';
  const duration = parseDuration(keepaliveTime);
  if (duration.kind === 'problem')
    throw new CommandFailure(exitCodes.usage, `--keepalive-time: ${duration.message}`);
  try {
    return {
      nodes,
      installation: findPostgres(options.bin ?? null),
      keepaliveTime,
      keepaliveCount,
      firstPort,
    };
  } catch (error) {
    // What was given on the command line is wrong there; that there is no PostgreSQL is not.
    throw new CommandFailure(
      options.bin === undefined ? exitCodes.failed : exitCodes.usage,
      messageOf(error),
    );
  }
}

function numberOf(flag: string, text: string, least: number, most: number, why: string): number {
  const value = Number(text);
  if (text.trim() === '' || Number.isNaN(value))
    throw new CommandFailure(exitCodes.usage, `${flag} ${text}: not a number`);
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new CommandFailure(
    exitCodes.usage,
    `${flag} must be a whole number from ${least} to ${most}, not "${text}"${why === '' ? '' : `: ${why}`}`,
  );
}

/** Signals, a closed pipe, the end of the parent, an uncaught error: whatever ends this process takes the cluster with it. */
function removeAtExit(cluster: TestCluster): () => void {
  const removeNow = () => cluster.removeNow();
  const onSignal = (signal: NodeJS.Signals) => {
    cluster.removeNow();
    say(`\n${signal}: everything removed`);
    process.exit(exitCodes.failed);
  };
  const onPipe = () => process.exit(exitCodes.failed);
  // Only where it was started with a channel, by `npm run demo`: nobody would know of a cluster that lives on.
  const onOrphaned = () => {
    cluster.removeNow();
    process.exit(exitCodes.failed);
  };
  const signals: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.on(signal, onSignal);
  process.on('disconnect', onOrphaned);
  process.stdout.on('error', onPipe);
  process.on('exit', removeNow);
  return () => {
    for (const signal of signals) process.off(signal, onSignal);
    process.off('disconnect', onOrphaned);
    process.off('exit', removeNow);
  };
}

/** Steps with the time since the start; on a terminal a live line below them. */
class Progress {
  readonly #startedAt = performance.now();
  readonly #isTerminal = process.stdout.isTTY === true;
  #hasLive = false;

  step(text: string): void {
    this.end();
    print(`${((performance.now() - this.#startedAt) / 1000).toFixed(1).padStart(5)} s  ${text}`);
  }

  live(text: string): void {
    if (!this.#isTerminal) return;
    process.stdout.write(`\r\x1b[2K         ${text}`);
    this.#hasLive = true;
  }

  end(): void {
    if (this.#hasLive) process.stdout.write('\r\x1b[2K');
    this.#hasLive = false;
  }
}
