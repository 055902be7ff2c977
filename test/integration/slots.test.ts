/**
 * Replication slots that the workers keep: every node's on every node, moved along on the standbys, so that a node that was away finds
 * its WAL on whoever is master then. The servers keep no WAL beyond what slots hold.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe } from 'node:test';
import { slotNameOf } from '../../src/core/slots/slot-names.js';
import type { TestNode } from '../../src/testbed/cluster.js';
import { until } from '../../src/testbed/until.js';
import { pgkeeper } from '../support/command-line.js';
import { FailoverCluster, keepaliveMs, registryOf, stepsOn } from '../support/failover-cluster.js';
import { guardsOf } from '../support/guards.js';
import { startKilled } from '../support/start-killed.js';

interface Slot {
  readonly slot_name: string;
  readonly active: boolean;
  readonly wal_status: string | null;
  readonly xmin: string | null;
  /** Bytes. */
  readonly restart: string;
}

interface Finding {
  readonly level: string;
  readonly node: string | null;
  readonly topic: string;
}

const segment = 16 * 1024 ** 2;
/** Two polls of the worker's upkeep and some more. */
const boundMs = 30_000;

describe('replication slots of three servers', { concurrency: false }, () => {
  let three: FailoverCluster;

  before(async () => {
    three = await FailoverCluster.create({
      nodes: 3,
      syncNames: 'ANY 1 (n1, n2, n3)',
      settings: {
        wal_keep_size: '0',
        min_wal_size: '32MB',
        max_wal_size: '32MB',
        hot_standby_feedback: 'on',
        wal_receiver_status_interval: '1s',
        'pg_keeper.startup_grace': '1s',
      },
    });
  });

  after(async () => {
    await three.remove();
  });

  const step = stepsOn(() => three);

  const slotsOn = (node: TestNode) =>
    node.server.query<Slot>(`select slot_name, active, wal_status, xmin, (restart_lsn - '0/0')::text as restart
      from pg_replication_slots where slot_name like 'pgkeeper\\_node\\_%' order by 1`);

  async function slotOf(name: string, node: TestNode): Promise<Slot> {
    return (await slotsOn(node)).find(({ slot_name }) => slot_name === slotNameOf(name)) ?? assert.fail();
  }

  async function streamsBy(node: TestNode): Promise<string> {
    const [row] = await node.server.query<{ name: string }>(
      `select current_setting('primary_slot_name') as name`,
    );
    return row?.name ?? '';
  }

  /** Bytes. */
  async function redoOf(node: TestNode): Promise<number> {
    const [row] = await node.server.query<{ at: string }>(
      `select (redo_lsn - '0/0')::text as at from pg_control_checkpoint()`,
    );
    return Number(row?.at);
  }

  /** Each server has the slots of the others, and each standby uses its own, but for those in `own`. */
  async function untilSlotsAreRight(master: TestNode, own: Readonly<Record<string, string>> = {}) {
    const names = three.cluster.nodes.map(({ name }) => name);
    for (const node of three.cluster.nodes)
      await until(
        `the slots on ${node.name} are right`,
        async () => {
          const slots = await slotsOn(node);
          const others = names.filter((name) => name !== node.name);
          assert.deepEqual(
            slots.map(({ slot_name }) => slot_name),
            others.map(slotNameOf),
          );
          for (const slot of slots) assert.notEqual(slot.wal_status, 'lost');
          if (node === master) {
            const inUse = others.filter((name) => own[name] === undefined).map(slotNameOf);
            const active = slots.filter((slot) => slot.active).map(({ slot_name }) => slot_name);
            assert.deepEqual(active, inUse);
          } else assert.equal(await streamsBy(node), own[node.name] ?? slotNameOf(node.name));
          return true;
        },
        boundMs,
        200,
      );
  }

  /** Fills `segments` of WAL and makes the server remove what nobody needs. */
  async function writeWal(master: TestNode, segments: number): Promise<void> {
    const client = await master.server.connect();
    try {
      for (let i = 0; i < segments; i++) {
        await client.query(`select pg_logical_emit_message(false, 'test', repeat('x', 100000))`);
        await client.query('select pg_switch_wal()');
      }
      await client.query('checkpoint');
    } finally {
      await client.end();
    }
  }

  const bystanders = (...busy: readonly TestNode[]) =>
    three.cluster.nodes.filter((node) => !busy.includes(node));

  step(
    'each node gets a slot on each other node and streams by it, and no client waits for that',
    async () => {
      const master = await three.master();
      const since = performance.now();
      await untilSlotsAreRight(master);
      const times = three.writer.acknowledged.map(({ at }) => at).filter((at) => at > since);
      const gaps = times.map((at, i) => at - (times[i - 1] ?? at));
      assert.ok(Math.max(...gaps) < keepaliveMs, `the longest wait was ${Math.max(...gaps)} ms`);
      assert.equal((await registryOf(master)).epoch, 1);
      const check = await pgkeeper(['check', '--json', '-d', master.server.conninfo()]);
      const { findings } = JSON.parse(check.out) as { readonly findings: readonly Finding[] };
      assert.deepEqual(
        findings.filter(({ topic }) => /slot/.test(topic)).map(({ level }) => level),
        ['ok', 'ok', 'ok'],
      );
    },
  );

  step('on the standbys the slots move along, and hold no rows', async () => {
    const master = await three.master();
    const [one, two] = bystanders(master);
    assert.ok(one !== undefined && two !== undefined);
    const before = Number((await slotOf(two.name, one)).restart);
    const masters = Number((await slotOf(master.name, one)).restart);
    await until('vacuum heeds the standby', async () => (await slotOf(one.name, master)).xmin !== null);
    await writeWal(master, 3);
    await until(
      `the slots on ${one.name} have moved`,
      async () =>
        (await one.server.query('checkpoint')) &&
        Number((await slotOf(two.name, one)).restart) >= before + 2 * segment &&
        Number((await slotOf(master.name, one)).restart) > masters,
      boundMs,
      200,
    );
    assert.ok(Number((await slotOf(master.name, one)).restart) <= (await redoOf(one)));
    for (const slot of await slotsOn(one)) assert.equal(slot.xmin, null);
  });

  step(
    'a standby that was away through much WAL and a failover streams on, without rewind or copy',
    async () => {
      const old = await three.master();
      await three.untilAllVote(old.name);
      const [next, away] = bystanders(old);
      assert.ok(next !== undefined && away !== undefined);
      const wall = Date.now();
      await away.worker.stop();
      await away.server.stop();
      await until('its slot is idle', async () => !(await slotOf(away.name, old)).active);
      const wanted = Number((await slotOf(away.name, old)).restart);
      for (let round = 0; round < 3; round++) await writeWal(old, 4);
      await until('without slots its WAL would be gone there', async () => {
        await next.server.query('checkpoint');
        return (await redoOf(next)) > wanted + 8 * segment;
      });
      assert.ok(Number((await slotOf(away.name, next)).restart) <= wanted);
      // With two servers of three nobody is elected before the old one is back as a voter.
      await old.worker.kill();
      for (const pid of guardsOf(old)) process.kill(pid, 'SIGKILL');
      const since = performance.now();
      old.server.kill();
      writeFileSync(join(old.server.dataDirectory, 'standby.signal'), '');
      await startKilled(old.server);
      assert.equal((await three.untilTakenOver(old, since)).name, next.name);
      await writeWal(next, 4);
      await away.server.start();
      away.worker.start();
      await until(
        'it streams from the new master by its slot',
        async () => (await slotOf(away.name, next)).active,
        boundMs,
      );
      const reasons = away.worker.decisions(wall).map(({ reason }) => reason);
      assert.deepEqual(
        reasons.filter((reason) => /^rejoin|^not-streaming/.test(reason)),
        [],
      );
      old.worker.start();
      await three.cluster.untilSettled(next.name);
      await untilSlotsAreRight(next);
      await three.assertNothingLost(next);
    },
  );

  step('a crashed master leaves slots behind that are right again when it is a standby', async () => {
    const old = await three.master();
    await three.untilAllVote(old.name);
    await untilSlotsAreRight(old);
    const [one, two] = bystanders(old);
    assert.ok(one !== undefined && two !== undefined);
    const next = await three.crash(old);
    const sibling = next === one ? two : one;
    assert.equal(await streamsBy(sibling), slotNameOf(sibling.name), 'it kept its slot');
    assert.equal((await slotOf(sibling.name, next)).active, true);
    await three.cluster.untilSettled(next.name);
    await untilSlotsAreRight(next);
    await three.assertNothingLost(next);
  });

  step('a slot that was lost is told of, and made anew', async () => {
    const master = await three.master();
    const [one, two] = bystanders(master);
    assert.ok(one !== undefined && two !== undefined);
    one.worker.freeze();
    await one.server.changeSettings({ max_slot_wal_keep_size: '1MB' });
    await writeWal(master, 4);
    await until('it is lost', async () => {
      await one.server.query('checkpoint');
      return (await slotOf(two.name, one)).wal_status === 'lost';
    });
    const check = await pgkeeper(['check', '--json', '-d', one.server.conninfo()]);
    const { findings } = JSON.parse(check.out) as { readonly findings: readonly Finding[] };
    assert.deepEqual(
      [
        ...new Set(
          findings
            .filter(({ topic, level }) => topic === 'slots' && level === 'warning')
            .map(({ node }) => node),
        ),
      ],
      [one.name],
    );
    await one.server.changeSettings({ max_slot_wal_keep_size: '2GB' });
    one.worker.thaw();
    await untilSlotsAreRight(master);
    assert.match(
      readFileSync(one.worker.logPath, 'utf8'),
      /slot pgkeeper_node_n\d: made anew, since it was lost/,
    );
  });

  step('the slot of a removed node is dropped everywhere, and made again with the node', async () => {
    const master = await three.master();
    const [one, gone] = bystanders(master);
    assert.ok(one !== undefined && gone !== undefined);
    await master.server.query('select pgkeeper.del_node($1)', [gone.name]);
    for (const node of [master, one])
      await until(
        `its slot is gone from ${node.name}`,
        async () => (await slotsOn(node)).every(({ slot_name }) => slot_name !== slotNameOf(gone.name)),
        boundMs,
        200,
      );
    assert.deepEqual(await slotsOn(gone), []);
    assert.equal(await streamsBy(gone), '');
    await three.cluster.register(gone.name, master.server);
    await three.cluster.untilSettled(master.name);
    await untilSlotsAreRight(master);
  });

  step(
    "with manage_slots off they go; a slot of the user's own stays in use when it is on again",
    async () => {
      const master = await three.master();
      const [one] = bystanders(master);
      assert.ok(one !== undefined);
      for (const { server } of three.cluster.nodes)
        await server.changeSettings({ 'pg_keeper.manage_slots': 'off' });
      for (const node of three.cluster.nodes)
        await until(
          `no slot is left on ${node.name}`,
          async () =>
            (await slotsOn(node)).length === 0 && (node === master || (await streamsBy(node)) === ''),
          2 * boundMs,
          200,
        );
      await three.cluster.untilSettled(master.name);
      await master.server.query(`select pg_create_physical_replication_slot('mine', true)`);
      await one.server.query(`alter system set primary_slot_name = 'mine'`);
      for (const { server } of three.cluster.nodes)
        await server.changeSettings({ 'pg_keeper.manage_slots': 'on' });
      await untilSlotsAreRight(master, { [one.name]: 'mine' });
      const before = Number((await slotOf(one.name, master)).restart);
      await writeWal(master, 1);
      await until(
        'the slot that it does not use moves along all the same',
        async () => Number((await slotOf(one.name, master)).restart) > before,
        boundMs,
        200,
      );
      const [mine] = await master.server.query<{ active: boolean }>(
        `select active from pg_replication_slots where slot_name = 'mine'`,
      );
      assert.equal(mine?.active, true);
      assert.equal(await streamsBy(one), 'mine');
      await three.assertNothingLost(master);
    },
  );
});
