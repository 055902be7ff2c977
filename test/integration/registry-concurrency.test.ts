/**
 * Many sessions change the registry at once, beside a worker's own writes: never two masters, two next masters or a half-made
 * row, at no moment; who was told "true" has it, who was refused has left nothing.
 */
import assert from 'node:assert/strict';
import { after, before, describe, type TestContext, test } from 'node:test';
import type pg from 'pg';
import { writeFlags, writeSync } from '../../src/postgres/registry.js';
import { until } from '../../src/testbed/until.js';
import { BrokenServer } from '../support/broken-servers.js';
import { byHand } from '../support/by-hand.js';
import { refusal } from '../support/refusal.js';
import { RegistryServers } from '../support/registry-servers.js';
import { contextOf } from '../support/session-context.js';

const servers = new RegistryServers();
const conninfo = (name: string) => servers.get(name).conninfo();

before(() => servers.create(['n1', 'n2', 'n3']));
after(() => servers.remove());

async function withSessions<T>(
  count: number,
  use: (sessions: readonly pg.Client[]) => Promise<T>,
): Promise<T> {
  const sessions = await Promise.all(Array.from({ length: count }, () => servers.master.connect()));
  try {
    return await use(sessions);
  } finally {
    await Promise.all(sessions.map((session) => session.end()));
  }
}

interface Invariants {
  readonly masters: number;
  readonly nextMasters: number;
  readonly version: number;
  /** cluster_state.nodes is node_info. */
  readonly copied: boolean;
  /** As many rows as registrations minus removals, by the events: all of these come in one transaction or not at all. */
  readonly accounted: boolean;
}

/** One statement, so one snapshot: what any reader may see at that moment. */
const invariantsSql = `select (select count(*)::integer from pgkeeper.node_info where is_master) as masters,
  (select count(*)::integer from pgkeeper.node_info where is_nextmaster) as "nextMasters",
  (select version::integer from pgkeeper.cluster_state) as version,
  (select c.nodes = pgkeeper.registry_json() from pgkeeper.cluster_state c) as copied,
  (select count(*) from pgkeeper.node_info) = (select count(*) filter (where code = 'node-added') - count(*) filter (where code = 'node-removed')
    from pgkeeper.events) as accounted`;

/** Looks without a pause until `work` is done. */
async function watched(work: Promise<unknown>): Promise<number> {
  let over = false;
  const done = work.finally(() => {
    over = true;
  });
  done.catch(() => undefined);
  const looks = await withSessions(1, async ([session]) => {
    let count = 0;
    let version = 0;
    while (!over) {
      const [now] = (await session?.query<Invariants & pg.QueryResultRow>(invariantsSql))?.rows ?? [];
      assert.ok(now !== undefined);
      assert.ok(now.masters <= 1 && now.nextMasters <= 1, JSON.stringify(now));
      assert.ok(now.copied && now.accounted && now.version >= version, JSON.stringify(now));
      version = now.version;
      count += 1;
    }
    return count;
  });
  await done;
  return looks;
}

const empty = () =>
  servers.master.query(
    `${byHand} delete from pgkeeper.node_info; delete from pgkeeper.events; delete from pgkeeper.node_state`,
  );

/** What may happen to a session that meets others: it waits, or it is refused whole. */
const harmless: Readonly<Record<string, string>> = {
  '42710': 'registered already',
  '40P01': 'deadlock',
  '55P03': 'lock timeout',
  '40001': 'could not serialize',
};

describe('many sessions at once', { concurrency: false }, () => {
  for (const isolation of ['read committed', 'repeatable read', 'serializable']) {
    test(`register one first node, not two (${isolation})`, async () => {
      for (let round = 0; round < 3; round += 1) {
        await empty();
        const race = withSessions(12, (sessions) =>
          Promise.allSettled(
            sessions.map(async (session, i) => {
              await session.query(`set default_transaction_isolation = '${isolation}'`);
              await session.query(`select set_config('pg_keeper.node_name', $1, false)`, [`m${i}`]);
              return session.query('select pgkeeper.add_node($1, $2)', [`m${i}`, conninfo('n1')]);
            }),
          ),
        );
        await watched(race);
        const won = (await race).flatMap(({ status }, i) => (status === 'fulfilled' ? [`m${i}`] : []));
        const nodes = await servers.nodes();
        assert.deepEqual(
          nodes.map(({ name, is_master }) => [name, is_master]),
          won.map((name) => [name, true]),
        );
        assert.equal(nodes.length, 1);
      }
    });
  }

  test('add and remove nodes beside the worker’s writes', async (context: TestContext) => {
    await empty();
    await servers.add('n1', conninfo('n1'));
    await Promise.all([servers.untilStreaming('n2'), servers.untilStreaming('n3')]);
    const balance = new Map([
      ['n2', 0],
      ['n3', 0],
    ]);
    const refusals = new Map<string, number>();

    async function change(session: pg.Client, adding: boolean, name: string): Promise<void> {
      const statement = adding
        ? `select pgkeeper.add_node('${name}', '${conninfo(name)}')`
        : `select pgkeeper.del_node('${name}')`;
      try {
        const { rows } = await session.query<{ done: boolean }>(`${statement} as done`);
        if (rows[0]?.done === true) balance.set(name, (balance.get(name) ?? 0) + (adding ? 1 : -1));
      } catch (error) {
        const why = harmless[(error as { code?: string }).code ?? ''];
        if (why === undefined) throw error;
        refusals.set(why, (refusals.get(why) ?? 0) + 1);
      }
    }

    const storm = withSessions(11, async ([worker, ...sessions]) => {
      assert.ok(worker !== undefined);
      let over = false;
      const changing = Promise.all(
        sessions.map(async (session, i) => {
          for (let turn = 0; turn < 12; turn += 1)
            await change(session, (i + turn) % 3 !== 0, (i * 7 + turn) % 2 === 0 ? 'n2' : 'n3');
        }),
      ).finally(() => {
        over = true;
      });
      await Promise.all([changing, workerWrites(worker, () => over)]);
    });
    const looks = await watched(storm);
    context.diagnostic(`${looks} looks; refused: ${JSON.stringify(Object.fromEntries(refusals))}`);
    assert.ok(looks > 20, 'the watcher has seen the storm');
    for (const [name, left] of balance) assert.ok(left === 0 || left === 1, `${name}: ${left}`);
    const expected = ['n1', ...[...balance].flatMap(([name, left]) => (left === 1 ? [name] : []))];
    assert.deepEqual((await servers.nodes()).map(({ name }) => name).sort(), expected);
  });

  /** The next master goes back and forth, and so does the synchronous set, as a busy master's worker would write them. */
  async function workerWrites(client: pg.Client, isOver: () => boolean): Promise<void> {
    const session = contextOf(client);
    for (let turn = 0; !isOver(); turn += 1) {
      const [next, other] = turn % 2 === 0 ? ['n2', 'n3'] : ['n3', 'n2'];
      const sync = { wish: '', members: [next, other], needed: 1, wished: 1 };
      try {
        await writeFlags(session, turn % 5 === 0 ? null : next, [other]);
        await writeSync(session, sync);
      } catch (error) {
        const { code = '' } = error as { code?: string };
        assert.ok(code in harmless, `${code}: ${String(error)}`);
      }
    }
  }
});

describe('a session that is stuck in add_node', { concurrency: false }, () => {
  test('keeps no worker from writing, and leaves nothing when it is ended', async () => {
    const broken = await BrokenServer.start('never answers a query');
    const [stuck, waiting, worker] = [
      await servers.master.connect(),
      await servers.master.connect(),
      await servers.master.connect(),
    ];
    try {
      const stored = await servers.stored();
      const { rows } = await stuck.query<{ pid: number }>('select pg_backend_pid() as pid');
      const registering = refusal(
        stuck.query('select pgkeeper.add_node($1, $2)', ['n9', `${broken.conninfo} connect_timeout=30`]),
      );
      await until('it holds the lock', async () => {
        const [row] = await servers.master.query<{ held: boolean }>(
          `select exists (select from pg_locks where pid = $1 and relation = 'pgkeeper.node_info'::regclass and granted and mode = 'ShareUpdateExclusiveLock') as held`,
          [rows[0]?.pid],
        );
        return row?.held;
      });
      await worker.query(
        `set lock_timeout = '5s'; begin; select from pgkeeper.cluster_state for update; update pgkeeper.node_info set is_nextmaster = is_nextmaster; commit`,
      );
      const removing = waiting.query<{ done: boolean }>(`select pgkeeper.del_node('n8') as done`);
      await servers.master.query('select pg_terminate_backend($1)', [rows[0]?.pid]);
      assert.equal((await registering).code, '57P01');
      assert.deepEqual((await removing).rows, [{ done: false }]);
      assert.deepEqual(await servers.stored(), stored);
    } finally {
      await Promise.all([stuck, waiting, worker].map((client) => client.end()));
      await broken.stop();
    }
  });
});
