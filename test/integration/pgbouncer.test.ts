/** A switchover under clients that come through PgBouncer: they see a wait and no error, and no failure leaves them paused. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { TestNode } from '../../src/testbed/cluster.js';
import { until } from '../../src/testbed/until.js';
import { writesTable } from '../../src/testbed/writer.js';
import { pgkeeper } from '../support/command-line.js';
import { FailoverCluster, stepsOn } from '../support/failover-cluster.js';
import { hasPgBouncer, PooledWriter, TestPgBouncer } from '../support/pgbouncer.js';
import { untilFinished } from '../support/requests.js';
import { skipLoudly } from '../support/skip.js';

const writerCount = 4;

describe('a switchover under clients of PgBouncer', { concurrency: false }, () => {
  if (!hasPgBouncer()) {
    test('pgbouncer', (context) => skipLoudly(context, 'pgbouncer is not installed'));
    return;
  }
  let three: FailoverCluster;
  let bouncer: TestPgBouncer;
  let writers: readonly PooledWriter[] = [];

  before(async () => {
    bouncer = await TestPgBouncer.create();
    three = await FailoverCluster.create({
      nodes: 3,
      syncNames: 'ANY 1 (n1, n2, n3)',
      settings: {
        'pg_keeper.pgbouncer': bouncer.console,
        'pg_keeper.pgbouncer_timeout': '2s',
        'pg_keeper.after_command': bouncer.afterCommand,
      },
    });
    await three.untilStreamingBySlot();
    await bouncer.start(three.node('n1').server);
    writers = Array.from({ length: writerCount }, (_, i) => new PooledWriter(i));
    for (const writer of writers) writer.start(bouncer);
  });

  after(async () => {
    for (const writer of writers) await writer.stop();
    await three.remove();
    await bouncer.remove();
  });

  const step = stepsOn(() => three);

  async function ready(): Promise<{ readonly old: TestNode; readonly target: TestNode }> {
    const old = await three.master();
    await three.untilAllVote(old.name);
    await untilAllWrite();
    const target = three.cluster.nodes.find(({ name }) => name !== old.name) as TestNode;
    return { old, target };
  }

  async function ask(node: TestNode, target: TestNode): Promise<number> {
    const [row] = await node.server.query<{ id: string }>('select pgkeeper.switchover($1) as id', [
      target.name,
    ]);
    return Number(row?.id);
  }

  async function untilAllWrite(): Promise<void> {
    const before = writers.map(({ acknowledged }) => acknowledged.length);
    await until(
      `every client writes (${writers.flatMap(({ errors }) => errors.slice(0, 2)).join('; ')})`,
      () => writers.every(({ acknowledged }, i) => acknowledged.length > (before[i] ?? 0) + 3),
    );
  }

  async function assertNoneHurt(node: TestNode): Promise<void> {
    // Taken out, so that the steps after this one are judged by their own.
    const seen = writers.flatMap(({ errors }) => errors.splice(0));
    assert.deepEqual(seen, [], `no client saw an error: ${seen.join('; ')}\n${bouncer.lastLog()}`);
    // They go on writing: what is acknowledged from now on may be missing in the answer.
    const sure = writers.flatMap(({ acknowledged }) => acknowledged);
    const rows = await node.server.query<{ id: string }>(`select id from ${writesTable}`);
    const found = new Set(rows.map(({ id }) => Number(id)));
    assert.deepEqual(
      sure.filter((id) => !found.has(id)),
      [],
      'no acknowledged row is lost',
    );
  }

  async function codesOf(node: TestNode): Promise<readonly string[]> {
    const rows = await node.server.query<{ code: string }>('select code from pgkeeper.events');
    return rows.map(({ code }) => code);
  }

  step('clients wait for it, see no error, and then write to the new master', async () => {
    const { old, target } = await ready();
    const rehearsal = await pgkeeper(['switchover', target.name, '--dry-run', '-d', old.server.conninfo()]);
    assert.match(rehearsal.out, /ok {2} PgBouncer 127\.0\.0\.1:\d+ answers and obeys/);
    assert.equal(rehearsal.code, 0, rehearsal.out + rehearsal.err);
    const before = writers.reduce((sum, { acknowledged }) => sum + acknowledged.length, 0);
    for (const writer of writers) writer.longestMs = 0;
    const asked = await pgkeeper(['switchover', target.name, '-d', old.server.conninfo()]);
    assert.equal(asked.code, 0, asked.err);
    await untilAllWrite();
    assert.equal((await three.master()).name, target.name);
    await three.cluster.untilSettled(target.name);
    await assertNoneHurt(target);
    await until('the events tell it', async () => {
      const codes = await codesOf(target);
      return codes.includes('pools-paused') && codes.includes('pools-resumed');
    });
    const longest = Math.max(...writers.map(({ longestMs }) => longestMs));
    const wrote = writers.reduce((sum, { acknowledged }) => sum + acknowledged.length, 0) - before;
    console.log(
      `longest wait of ${writerCount} clients: ${Math.round(longest)} ms; ${wrote} writes meanwhile`,
    );
  });

  step(
    'a transaction that never ends: the switchover fails, nothing has changed, clients go on',
    async () => {
      const { old, target } = await ready();
      const open = await bouncer.connect();
      await open.query('begin');
      await open.query('select 1');
      const asked = await pgkeeper(['switchover', target.name, '-d', old.server.conninfo()]);
      assert.notEqual(asked.code, 0);
      assert.match(
        asked.err,
        /PgBouncer 127\.0\.0\.1:\d+: PAUSE was not done after 2000 ms.*transaction open/,
      );
      await untilAllWrite();
      assert.equal((await three.master()).name, old.name);
      await open.query('commit');
      await open.end();
      assert.equal(await bouncer.isPaused(), false);
      await assertNoneHurt(old);
    },
  );

  step("an operator's pause is left alone, and the switchover says so", async () => {
    const { old, target } = await ready();
    await bouncer.command('PAUSE');
    const request = await untilFinished(old, await ask(old, target));
    assert.equal(request.state, 'failed');
    assert.match(request.reason, /is paused already, and not by pgkeeper/);
    assert.equal(await bouncer.isPaused(), true);
    await bouncer.command('RESUME');
    await untilAllWrite();
    await assertNoneHurt(old);
  });

  step('a target that is lost on the way: the old master goes on, and so do its clients', async () => {
    const { old, target } = await ready();
    const wall = Date.now();
    const id = await ask(old, target);
    await old.worker.untilDecision('handing-over', wall);
    target.worker.freeze();
    target.server.freeze();
    const request = await untilFinished(old, id);
    assert.equal(request.state, 'failed');
    await untilAllWrite();
    assert.equal((await three.master()).name, old.name);
    target.server.thaw();
    target.worker.thaw();
    await three.cluster.untilSettled(old.name);
    await assertNoneHurt(old);
  });

  step('a worker that is killed after its PAUSE: the next one resumes', async () => {
    const { old, target } = await ready();
    const wall = Date.now();
    const id = await ask(old, target);
    await old.worker.untilDecision('switchover-started', wall);
    // It cannot show that it has the row: that leaves time.
    target.server.freeze();
    await old.worker.untilDecision('pools-paused', wall);
    await old.worker.kill();
    target.server.thaw();
    assert.equal(await bouncer.isPaused(), true);
    old.worker.start();
    const request = await untilFinished(old, id);
    assert.equal(request.state, 'failed');
    assert.match(request.reason, /its worker was started anew/);
    await untilAllWrite();
    await three.cluster.untilSettled(old.name);
    await assertNoneHurt(old);
  });

  step('check and a rehearsal name a PgBouncer that does not answer, or does not obey', async () => {
    const { old, target } = await ready();
    const wrong = (console: string) => ({ PGKEEPER_PGBOUNCER: console });
    const { port } = bouncer;
    const own = ['-d', old.server.conninfo()];
    const looker = `host=127.0.0.1 port=${port} user=looker password=geheim`;
    const check = await pgkeeper(['check', ...own], wrong(`${looker}; host=127.0.0.1 port=1 user=a`));
    assert.match(check.out, /WARNING PgBouncer 127\.0\.0\.1:\d+: the user is not among its admin_users/);
    assert.match(check.out, /WARNING PgBouncer 127\.0\.0\.1:1: .*ECONNREFUSED/);
    assert.doesNotMatch(check.out, /geheim/);
    const rehearsal = await pgkeeper(['switchover', target.name, '--dry-run', ...own], wrong(looker));
    assert.match(rehearsal.out, /NOT .*not among its admin_users[\s\S]*would be refused/);
    assert.equal(rehearsal.code, 4);
  });

  step('a crash pauses nobody, and the pool follows by after_command', async () => {
    const { old } = await ready();
    const wall = Date.now();
    const next = await three.crash(old);
    await untilAllWrite();
    assert.equal(await bouncer.isPaused(), false);
    const told = three.cluster.nodes.flatMap(({ worker }) => worker.decisions(wall));
    assert.deepEqual(
      told.filter(({ reason }) => reason.startsWith('pools-')),
      [],
    );
    await three.cluster.untilSettled(next.name);
  });
});
