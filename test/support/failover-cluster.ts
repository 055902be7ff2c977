/** What every failover test needs: a settled cluster, a client that follows the master, clients pinned to one server, the audit. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { lookAtCluster } from '../../src/cli/cluster-look.js';
import { statusOf } from '../../src/cli/status.js';
import { type ClusterOptions, keeperRole, TestCluster, type TestNode } from '../../src/testbed/cluster.js';
import { findPostgres } from '../../src/testbed/find-postgres.js';
import type { TestServer } from '../../src/testbed/server.js';
import { until } from '../../src/testbed/until.js';
import { auditWrites, createWritesTable, overlapOf, Writer } from '../../src/testbed/writer.js';
import { program } from './command-line.js';
import { preparedServers } from './prepared-servers.js';

export const installation = findPostgres(process.env['PGKEEPER_TEST_BIN'] ?? null);
/** Not within `npm test` as it is usually run: the longest steps. */
export const everything = process.env['PGKEEPER_TEST_PART'] !== 'usual';
/** Three servers, what is promised and what is not: the end of a title, and synchronous_standby_names. */
export const syncModes = [
  ['with synchronous replication', 'ANY 1 (n1, n2, n3)'],
  ['without synchronous replication', ''],
] as const;
/** Longer on a slow machine (scripts/pace.mjs), where processes would not start within a lease. */
export const keepaliveMs = Number(process.env['PGKEEPER_TEST_KEEPALIVE_MS'] ?? 1000);
export const failoverTimeMs = 3 * keepaliveMs;
export const leaseTtlMs = 2 * keepaliveMs;
/** Of clients: often enough to see what happens, and the servers and workers get the machine. */
export const pace = { pauseMs: 10, pollMs: 10 };

export class FailoverCluster {
  readonly cluster: TestCluster;
  readonly writer: Writer;
  readonly #pinned: Writer[] = [];
  #writers = 1;

  private constructor(cluster: TestCluster) {
    this.cluster = cluster;
    this.writer = new Writer({ servers: cluster.nodes.map(({ server }) => server), number: 1, ...pace });
  }

  static async create(
    options: Partial<ClusterOptions> & { readonly nodes: number },
  ): Promise<FailoverCluster> {
    const cluster = new TestCluster({
      installation,
      program,
      keepaliveTime: `${keepaliveMs}ms`,
      keepaliveCount: failoverTimeMs / keepaliveMs,
      ...preparedServers(options),
      ...options,
      // Killed processes leave their writes to the system: only a crash of the whole machine would need fsync, and starts take longer by it.
      settings: { fsync: 'off', ...options.settings },
    });
    try {
      await cluster.create();
      await createWritesTable(cluster.node('n1').server);
    } catch (error) {
      const logs = cluster.logs();
      await cluster.remove();
      throw new Error(`${error instanceof Error ? error.message : String(error)}\n${logs}`);
    }
    const made = new FailoverCluster(cluster);
    made.writer.start();
    await until('the client writes', () => made.writer.acknowledged.length > 10);
    return made;
  }

  node(name: string): TestNode {
    return this.cluster.node(name);
  }

  async master(): Promise<TestNode> {
    return until('there is a master', () => this.cluster.master());
  }

  /** The client writes to it, too, once it is master. */
  async addServer(name: string): Promise<TestNode> {
    const node = await this.cluster.addServer(name);
    this.writer.add(node.server);
    return node;
  }

  /** A client that only ever talks to one server. */
  pin(node: TestNode): Writer {
    this.#writers += 1;
    const pinned = new Writer({ servers: [node.server], number: this.#writers, ...pace });
    pinned.start();
    this.#pinned.push(pinned);
    return pinned;
  }

  /** The next write acknowledged by somebody else than `old`. */
  async untilTakenOver(old: TestNode, since: number): Promise<TestNode> {
    const first = await until(
      'another server acknowledges a write',
      () => this.writer.firstSince(since, old.name),
      60_000,
      5,
    );
    return this.node(first.server);
  }

  /** Its worker dies with it, else it could be back before anybody is elected; it is started once somebody is. Resolves with who that is. */
  async crash(old: TestNode): Promise<TestNode> {
    const since = performance.now();
    old.worker.killNow();
    old.server.kill();
    const next = await this.untilTakenOver(old, since);
    old.worker.start();
    return next;
  }

  async untilWriting(): Promise<void> {
    const since = performance.now();
    await until('the client writes again', () => this.writer.firstSince(since), 60_000, 5);
  }

  untilAllVote(masterName: string): Promise<void> {
    return untilAllVote(this.cluster, masterName);
  }

  /** Without sync a crash is followed at once when the sessions of the master's worker are older than T (SPEC.md, I21); else after T. */
  async untilFollowedAtOnce(master: TestNode): Promise<void> {
    for (const { name, server } of this.cluster.nodes)
      if (name !== master.name)
        await until(`the worker of ${master.name} has been on ${name} for long`, async () => {
          const [row] = await server.query<{ ms: number | null }>(
            `select extract(epoch from clock_timestamp() - max(backend_start))::float8 * 1000 as ms
             from pg_stat_activity where application_name ~ $1`,
            [`^pgk \\S+ ${master.name}$`],
          );
          return (row?.ms ?? 0) > 1.1 * failoverTimeMs;
        });
  }

  /**
   * Some ten seconds after its registration a standby begins to stream by its slot. Its WAL receiver is started anew for that: a
   * switchover asked for in that moment is refused, since the target does not stream.
   */
  async untilStreamingBySlot(): Promise<void> {
    const master = await this.master();
    for (const { name, server } of this.cluster.nodes)
      if (name !== master.name)
        await until(`${name} streams by its slot`, async () => {
          const rows = await server.look(
            `select from pg_stat_wal_receiver where status = 'streaming' and slot_name <> ''`,
          );
          return rows.length > 0;
        });
  }

  /** Every acknowledged row of every client so far is on `node`. */
  async assertNothingLost(node: TestNode): Promise<void> {
    const audit = await auditWrites([this.writer, ...this.#pinned], node.server);
    assert.deepEqual(audit.lost, [], 'every acknowledged row is on the present master');
    assert.ok(audit.acknowledged > 0, 'rows were acknowledged at all');
  }

  /** However often they were pointed elsewhere or followed nobody: with the role they were set up with. */
  async assertOwnCredentials(master: TestNode): Promise<void> {
    const rows = await master.server.query<{ name: string; role: string }>(
      `select application_name as name, usename as role from pg_stat_replication where application_name = any($1)`,
      [this.cluster.nodes.map(({ name }) => name)],
    );
    assert.deepEqual(
      rows.filter(({ role }) => role !== keeperRole),
      [],
      'standbys stream as another role',
    );
  }

  /** No acknowledgement of the old master after the first of the new one, judged over one change of master. */
  assertNoOverlap(since: number, ...pinned: readonly Writer[]): void {
    const all = [this.writer, ...pinned]
      .flatMap(({ acknowledged }) => acknowledged)
      .filter(({ at }) => at > since);
    assert.equal(overlapOf(all), 0, 'two servers acknowledged at the same time');
  }

  async remove(): Promise<void> {
    await this.writer.stop();
    for (const pinned of this.#pinned) await pinned.stop();
    await this.cluster.remove();
  }

  /** For a failed test: what the workers thought. */
  explain(error: unknown): Error {
    return new Error(
      `${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n${this.cluster.logs(30)}`,
    );
  }
}

/** A server that came back votes only once it is older than the lease; until then a second failure would find too few. */
export async function untilAllVote(cluster: TestCluster, masterName: string): Promise<void> {
  await cluster.untilSettled(masterName);
  const { server } = cluster.node(masterName);
  let looks = 0;
  await until(
    'every vote is held by the master',
    async () => {
      const isHeld = (await doNodesVoteFor(cluster, masterName)) && (await areAllHeld(server));
      // Twice: a vote that is tried for, and given back since its server is too young, shows as held for a moment.
      looks = isHeld ? looks + 1 : 0;
      return looks >= 2;
    },
    10 * failoverTimeMs,
    150,
  );
}

/** As the servers of those voters have it that are nodes. */
async function doNodesVoteFor(cluster: TestCluster, masterName: string): Promise<boolean> {
  const [row] = await cluster
    .node(masterName)
    .server.look<{ voters: string[] }>(
      `select array(select v ->> 'name' from jsonb_array_elements(voters) v) as voters from pgkeeper.cluster_state`,
    );
  const nodes = cluster.nodes.filter(({ name }) => row?.voters.includes(name));
  const holders = nodes.map(async ({ server }) => {
    const [vote] = await server.look<{ holder: string }>('select pgkeeper.vote_holder() as holder');
    return vote?.holder;
  });
  return (await Promise.all(holders)).every((holder) => holder === masterName);
}

/** As the command `status` counts them, witnesses too; it opens a session to each voter, which costs more than all else here. */
async function areAllHeld(server: TestServer): Promise<boolean> {
  const client = await server.connect();
  try {
    const look = await lookAtCluster({ client, conninfo: server.conninfo() });
    if (look === null) throw new Error('no node is registered');
    const { held, voters } = statusOf(look).quorum;
    return held === voters;
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Does that server receive WAL? */
export async function isStreaming({ server }: TestNode): Promise<boolean> {
  const [row] = await server.query<{ streams: boolean }>(
    `select exists (select from pg_stat_wal_receiver where status = 'streaming') as streams`,
  );
  return row?.streams === true;
}

/** Epoch and master as the server's own registry has them. */
export async function registryOf(node: TestNode): Promise<{
  readonly epoch: number;
  readonly version: number;
  readonly master: string;
  readonly syncNeeded: number;
  readonly syncMembers: string[];
}> {
  const [row] = await node.server.query<{
    epoch: string;
    version: string;
    master: string;
    sync_needed: number;
    sync_members: string[];
  }>('select epoch, version, master, sync_needed, sync_members from pgkeeper.cluster_state');
  if (row === undefined) throw new Error('no registry');
  return {
    epoch: Number(row.epoch),
    version: Number(row.version),
    master: row.master,
    syncNeeded: row.sync_needed,
    syncMembers: row.sync_members,
  };
}

/** Tests that use one cluster after the other; a failed one tells what the workers thought. */
export function stepsOn(
  cluster: () => FailoverCluster,
  afterEach: () => void = () => undefined,
): (name: string, run: (context: TestContext) => Promise<void>) => void {
  return (name, run) => {
    test(name, async (context) => {
      try {
        await run(context);
      } catch (error) {
        throw cluster().explain(error);
      } finally {
        afterEach();
      }
    });
  };
}
