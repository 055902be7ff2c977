/** `npm run bench`: whole-cluster figures over repeated runs on this machine. --help shows the options. */
import { writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { readArguments } from '#arguments';
import { TestCluster } from '../../src/testbed/cluster.js';
import { type Failover, type Fault, failOver } from '../../src/testbed/failover.js';
import { findPostgres } from '../../src/testbed/find-postgres.js';
import { costOf } from '../../src/testbed/process-cost.js';
import { until } from '../../src/testbed/until.js';
import { auditWrites, createWritesTable, Writer } from '../../src/testbed/writer.js';
import { program } from '../support/command-line.js';

const usage = `npm run bench [-- options]
  --runs N          failovers of each kind (default 20)
  --freezes N       with a frozen host (default 5)
  --switchovers N   (default 20)
  --idle SECONDS    how long the cost of an idle cluster is measured (default 60)
  --bin DIR         PostgreSQL's programs in DIR
  --json FILE       writes the figures there too`;

const { values } = readArguments({
  usage,
  numbers: ['runs', 'freezes', 'switchovers', 'idle'],
  options: {
    runs: { type: 'string', default: '20' },
    freezes: { type: 'string', default: '5' },
    switchovers: { type: 'string', default: '20' },
    idle: { type: 'string', default: '60' },
    bin: { type: 'string' },
    json: { type: 'string' },
  },
});

interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly values: readonly number[];
}

function quantiles(figure: Figure) {
  const sorted = [...figure.values].sort((a, b) => a - b);
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
  return { min: at(0), median: at(0.5), max: at(1), runs: sorted.length };
}

const installation = findPostgres(values.bin ?? null);

async function withCluster<T>(
  keepaliveTime: string,
  run: (cluster: TestCluster, writer: Writer) => Promise<T>,
): Promise<T> {
  const cluster = new TestCluster({
    nodes: 3,
    installation,
    program,
    keepaliveTime,
    keepaliveCount: 3,
    syncNames: 'ANY 1 (n1, n2, n3)',
  });
  process.once('exit', () => cluster.removeNow());
  try {
    await cluster.create();
    await createWritesTable(cluster.node('n1').server);
    const following = new Writer({
      servers: cluster.nodes.map(({ server }) => server),
      number: 1,
      pauseMs: 5,
    });
    try {
      return await run(cluster, following);
    } finally {
      await following.stop();
    }
  } finally {
    await cluster.remove();
  }
}

/** The next fault comes when every vote may be given again: a server votes only once it is older than lease_ttl. */
async function repeatFaults(fault: Fault, times: number, figures: Figure[]): Promise<void> {
  if (times === 0) return;
  const outages: number[] = [];
  const steps = new Map<string, number[]>();
  let lost = 0;
  await withCluster('1s', async (cluster, writer) => {
    writer.start();
    await until('the client writes', () => writer.acknowledged.length > 20);
    for (let run = 0; run < times; run++) {
      await delay(3000);
      const failover = await failOver(cluster, writer, fault);
      outages.push(failover.outageMs);
      collect(failover, steps);
      process.stderr.write(`${fault} ${run + 1}/${times}: ${failover.outageMs.toFixed(0)} ms\n`);
      if (fault === 'freeze') {
        failover.oldMaster.worker.thaw();
        failover.oldMaster.server.thaw();
      }
      await cluster.untilSettled(failover.newMaster.name);
      lost += (await auditWrites([writer], failover.newMaster.server)).lost.length;
    }
  });
  const what = fault === 'kill' ? 'crash (SIGKILL)' : 'freeze (SIGSTOP), T = 3000 ms';
  figures.push({ name: `${what}: to the first acknowledged write`, unit: 'ms', values: outages });
  for (const [step, measured] of steps) figures.push({ name: `  ${step}`, unit: 'ms', values: measured });
  figures.push({ name: `${what}: acknowledged rows lost, all runs`, unit: 'rows', values: [lost] });
}

/** On purpose, with synchronous replication on: from the request, and from the last row of the old master, to the next row. */
async function repeatSwitchovers(times: number, figures: Figure[]): Promise<void> {
  if (times === 0) return;
  const outages: number[] = [];
  let lost = 0;
  await withCluster('1s', async (cluster, writer) => {
    writer.start();
    await until('the client writes', () => writer.acknowledged.length > 20);
    for (let run = 0; run < times; run++) {
      await delay(3000);
      const old = await cluster.master();
      if (old === null) throw new Error('the cluster has no master');
      const at = performance.now();
      await old.server.query('select pgkeeper.switchover()');
      const first = await until(
        'another server acknowledges a write',
        () => writer.firstSince(at, old.name),
        60_000,
        1,
      );
      const last = writer.acknowledged.filter(({ server }) => server === old.name).at(-1);
      outages.push(first.at - (last?.at ?? at));
      process.stderr.write(`switchover ${run + 1}/${times}: ${outages.at(-1)?.toFixed(0)} ms\n`);
      await cluster.untilSettled(first.server);
      lost += (await auditWrites([writer], cluster.node(first.server).server)).lost.length;
    }
  });
  figures.push({
    name: 'switchover: last acknowledged write of the old master to the first of the new one',
    unit: 'ms',
    values: outages,
  });
  figures.push({ name: 'switchover: acknowledged rows lost, all runs', unit: 'rows', values: [lost] });
}

function collect(failover: Failover, steps: Map<string, number[]>): void {
  for (const { what, atMs } of failover.steps) steps.set(what, [...(steps.get(what) ?? []), atMs]);
}

/** A settled cluster at default settings (keepalive 5 s x 3), nobody writing. */
async function idle(seconds: number, figures: Figure[]): Promise<void> {
  await withCluster('5s', async (cluster) => {
    await delay(5000);
    const pids = cluster.nodes.map(({ worker }) => worker.pid ?? 0);
    const before = pids.map((pid) => costOf(pid).cpuSeconds);
    await delay(seconds * 1000);
    const after = pids.map((pid) => costOf(pid));
    const perMinute = after.map(({ cpuSeconds }, i) => ((cpuSeconds - (before[i] ?? 0)) * 60) / seconds);
    figures.push({
      name: 'worker of an idle cluster: CPU a minute (master, standby, standby)',
      unit: 's',
      values: perMinute,
    });
    figures.push({
      name: 'worker: resident memory',
      unit: 'MB',
      values: after.map(({ residentMb }) => residentMb),
    });
  });
}

/** What heartbeats and workers take from a client: single-row commits a second with the workers running and without. */
async function heartbeatCost(figures: Figure[]): Promise<void> {
  await withCluster('1s', async (cluster, writer) => {
    writer.start();
    const rate = async () => {
      const before = writer.acknowledged.length;
      await delay(5000);
      return (writer.acknowledged.length - before) / 5;
    };
    await delay(2000);
    const withWorkers = await rate();
    // Stopped on purpose, or the guard would end the server.
    for (const { worker } of cluster.nodes) await worker.stop();
    const without = await rate();
    figures.push({
      name: 'commits a second of one client, workers running',
      unit: '1/s',
      values: [withWorkers],
    });
    figures.push({ name: 'the same, workers stopped', unit: '1/s', values: [without] });
  });
}

const figures: Figure[] = [];
await repeatFaults('kill', Number(values.runs), figures);
await repeatFaults('freeze', Number(values.freezes), figures);
await repeatSwitchovers(Number(values.switchovers), figures);
if (values.idle !== '0') await idle(Number(values.idle), figures);
if (values.idle !== '0') await heartbeatCost(figures);

const machine = `${cpus().length} x ${cpus()[0]?.model.trim() ?? '?'}, ${Math.round(totalmem() / 2 ** 30)} GiB, PostgreSQL ${installation.version}, Node.js ${process.version}`;
console.log(`\n${machine}; three servers, workers and the client on this one machine\n`);
console.log('| figure | unit | min | median | max | runs |\n|---|---|---|---|---|---|');
for (const figure of figures) {
  const { min, median, max, runs } = quantiles(figure);
  const text = (value: number) => (figure.unit === 's' ? value.toFixed(2) : value.toFixed(0));
  console.log(
    `| ${figure.name} | ${figure.unit} | ${text(min)} | ${text(median)} | ${text(max)} | ${runs} |`,
  );
}
if (values.json !== undefined) writeFileSync(values.json, JSON.stringify({ machine, figures }, null, 2));
process.exit(0);
