// The text of docs/faults.md, made from the records of a run of the fault suite.
import { cpus, totalmem } from 'node:os';

const usualFailoverTimeMs = 3000;

/** `all`: what test/support/fault-record.ts keeps, in the order of the page. */
export function pageOf(all, { began, minutes, failed }) {
  const [{ cluster } = { cluster: {} }] = all;
  const measured = all.filter((record) => record.measured !== null).map((record) => record.measured);
  const sum = (of) => of.reduce((so, far) => so + far, 0);
  const on = measured.filter(({ sync }) => sync);
  const stretch = cluster.failoverTimeMs / usualFailoverTimeMs;
  const stretched =
    stretch === 1
      ? ''
      : `\nOn a machine as slow as this one T is longer; what the names of the cases tell in seconds was ${stretch.toFixed(1)} times as long.`;
  const machine = `${cpus().length} x ${cpus()[0]?.model.trim() ?? '?'}, ${Math.round(totalmem() / 2 ** 30)} GiB`;
  return `# Faults on real hosts

Made by \`npm run faults\` on ${new Date(began).toISOString().slice(0, 10)}, in ${minutes} minutes: PostgreSQL ${cluster.postgres}, Node.js ${process.version}, ${machine},
keepalive_time x keepalive_count = T = ${cluster.failoverTimeMs} ms, lease_ttl = ${cluster.leaseTtlMs} ms. ${measured.length} cases ran, ${failed} failed, ${all.length - measured.length} could not run here.
Rows acknowledged to a client in these cases: ${sum(measured.map(({ acknowledged }) => acknowledged))}; of those acknowledged with synchronous replication on (${sum(on.map(({ acknowledged }) => acknowledged))}), lost: ${sum(on.map(({ lost }) => lost))}.${stretched}

Every host is a network namespace with an address of its own; in it run a PostgreSQL server, its worker (and guard), and a client that
writes to the server beside it whenever that takes writes, over two sessions, one row a transaction. So a master that is cut
off has a client that can still reach it, and a row that it acknowledged too late would be seen. A client waits two minutes for an
answer before it gives up a server. All hosts, clients and the test share one machine, so its scheduler is part of every time below.

Links are cut in silence (packets are sent and nobody hears them), refused (a firewall answers every packet with a TCP reset), without a route, or
made slow and lossy by a process that carries every frame (tc's netem is not needed, and was not in the kernel this was written on).
Frozen is SIGSTOP to every process of server, worker and guard; killed is SIGKILL. Clocks jump by a preloaded library that shifts the
wall clock of all programs of one host.

| column | meaning |
|---|---|
| lost | rows that some client was told are safe and that the master at the end does not have. Must be 0 while synchronous replication is on |
| overlap | for how long two servers wrote at the same time: a row counts when it was acknowledged, or when it was sent if the master of the end has it, which means that it was written before that one was promoted and only its client heard of it late. Must be 0, but for one case without synchronous replication: a frozen master that wakes up acknowledges what it had under way |
| no writes | the longest time, from the fault until the cluster was whole again, in which no client anywhere was told that a row is safe. A measurement, not a promise |
| promoted | servers promoted. 0 = the master stayed |
| told | reason codes of \`pgkeeper events\`, per node, in the order of their first time (xN = so often), without those about single links. *master* is the one when the fault came, *next* the one at the end |

Each case must also end whole by itself once the fault is over: one master, every node streams from it, synchronous replication as wished,
every vote held. Run one file with \`npm run faults -- cuts\`. Needs root, and iproute2, nftables, perl, a C compiler; what is missing is said and left out.

${suitesOf(all)}`;
}

function suitesOf(all) {
  const suites = [...new Set(all.map(({ suite }) => suite))];
  return suites
    .map((suite) => {
      const rows = all.filter((record) => record.suite === suite).map(rowOf);
      return `## ${suite[0].toUpperCase()}${suite.slice(1)}

| case | lost | overlap, ms | no writes, ms | promoted | told |
|---|---|---|---|---|---|
${rows.join('\n')}
`;
    })
    .join('\n');
}

function rowOf({ name, measured, events }) {
  if (measured === null) return `| ${name} | - | - | - | - | not run: ${events} |`;
  const { lost, overlapMs, silenceMs, promotions } = measured;
  return `| ${name} | ${lost} | ${Math.round(overlapMs)} | ${Math.round(silenceMs)} | ${promotions} | ${events} |`;
}
