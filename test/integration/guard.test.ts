/** A master whose worker cannot act: the guard ends the server when the lease runs out, and the others go on. */
import assert from 'node:assert/strict';

import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { TestNode } from '../../src/testbed/cluster.js';
import { until } from '../../src/testbed/until.js';
import { pgkeeper } from '../support/command-line.js';
import {
  everything,
  FailoverCluster,
  failoverTimeMs,
  leaseTtlMs,
  stepsOn,
} from '../support/failover-cluster.js';
import { guardsOf } from '../support/guards.js';
import { RemovableProgram } from '../support/removable-program.js';

/** Levels of what `pgkeeper check` says of the guard, asked on that node. */
async function guardFinding(node: TestNode): Promise<readonly string[]> {
  const { dataDirectory } = node.server;
  const { out } = await pgkeeper(['check', '--json', '-D', dataDirectory, '-d', node.server.conninfo()]);
  const { findings } = JSON.parse(out) as { findings: readonly { topic: string; level: string }[] };
  return findings.filter(({ topic }) => topic === 'guard').map(({ level }) => level);
}

describe('the guard beside a master', {
  concurrency: false,
  skip: process.platform === 'linux' ? false : 'the guard needs Linux',
}, () => {
  const removable = new RemovableProgram();
  let three: FailoverCluster;

  before(async () => {
    three = await FailoverCluster.create({
      nodes: 3,
      syncNames: 'ANY 1 (n1, n2, n3)',
      program: removable.path,
    });
  });

  after(async () => {
    await three.remove();
    removable.end();
  });

  const step = stepsOn(() => three);

  const longStep: typeof step = (...args) => {
    if (everything) step(...args);
  };

  step('there is one for the master and none for a standby', async () => {
    await three.untilAllVote('n1');
    await until('the guard of n1 runs', () => guardsOf(three.node('n1')).length === 1);
    assert.deepEqual(guardsOf(three.node('n2')), []);
  });

  step('a worker that is started again in time finds its guard, and nothing happens', async () => {
    const master = await three.master();
    const [guard] = guardsOf(master);
    await master.worker.kill();
    await delay(300);
    master.worker.start();
    await three.untilAllVote(master.name);
    assert.deepEqual(guardsOf(master), [guard], 'the same guard');
    assert.equal((await three.master()).name, master.name);
  });

  step('a worker killed for good: its server is ended, another one takes over, nothing is lost', async () => {
    const old = await three.master();
    await three.untilAllVote(old.name);
    const pinned = three.pin(old);
    await until('the pinned client writes', () => pinned.acknowledged.length > 5);
    const since = performance.now();
    await old.worker.kill();
    const next = await three.untilTakenOver(old, since);
    assert.equal(old.server.isRunning(), false);
    three.assertNoOverlap(since, pinned);
    await three.assertNothingLost(next);
    old.worker.start();
    await three.untilAllVote(next.name);
  });

  step(
    'a worker that hangs: the same, and it brings its server back as a standby when it goes on',
    async () => {
      const old = await three.master();
      await three.untilAllVote(old.name);
      const pinned = three.pin(old);
      await until('the pinned client writes', () => pinned.acknowledged.length > 5);
      const since = performance.now();
      old.worker.freeze();
      const next = await three.untilTakenOver(old, since);
      three.assertNoOverlap(since, pinned);
      old.worker.thaw();
      await three.untilAllVote(next.name);
      await three.assertNothingLost(next);
    },
  );

  step('a guard that dies is replaced', async () => {
    const master = await three.master();
    const [guard] = guardsOf(master);
    assert.ok(guard !== undefined);
    process.kill(guard, 'SIGKILL');
    await until('there is another guard', () => guardsOf(master).some((pid) => pid !== guard));
  });

  step('a worker that is stopped and started again finds its guard, and nothing happens', async () => {
    const master = await three.master();
    await three.untilAllVote(master.name);
    const guards = guardsOf(master);
    const at = Date.now();
    assert.equal(await master.worker.stop(), 0);
    assert.equal(master.worker.decisions(at).filter(({ reason }) => reason === 'master-left').length, 1);
    master.worker.start();
    await three.untilAllVote(master.name);
    assert.equal(guards.length, 1);
    assert.deepEqual(guardsOf(master), guards, 'the same guard');
    assert.equal((await three.master()).name, master.name);
    assert.equal(master.worker.decisions(at).filter(({ reason }) => reason === 'server-lost').length, 0);
  });

  longStep('a worker that is stopped and stays away: its server is ended, another takes over', async () => {
    const old = await three.master();
    await three.untilAllVote(old.name);
    const pinned = three.pin(old);
    await until('the pinned client writes', () => pinned.acknowledged.length > 5);
    const since = performance.now();
    assert.equal(await old.worker.stop(), 0);
    await delay(leaseTtlMs / 2);
    assert.equal(old.server.isRunning(), true, 'not before the lease is over');
    const next = await three.untilTakenOver(old, since);
    assert.equal(old.server.isRunning(), false);
    assert.ok(performance.now() - since > leaseTtlMs / 2);
    three.assertNoOverlap(since, pinned);
    await three.assertNothingLost(next);
    await until('the guard is gone', () => guardsOf(old).length === 0);
    old.worker.start();
    await three.untilAllVote(next.name);
  });

  step('a worker killed as soon as its server is promoted has armed its guard before', async () => {
    const old = await three.master();
    await three.untilAllVote(old.name);
    const others = three.cluster.nodes.filter(({ name }) => name !== old.name);
    const at = Date.now();
    old.server.kill();
    const promoting = await until(
      'another server has left recovery',
      () => others.find(({ worker }) => worker.decisions(at).some(({ reason }) => reason === 'promoted')),
      30_000,
      1,
    );
    promoting.worker.killNow();
    await until('its server is ended', () => !promoting.server.isRunning(), 30_000, 5);
    promoting.worker.start();
    await three.untilWriting();
    const next = await three.master();
    await three.assertNothingLost(next);
    await three.untilAllVote(next.name);
  });

  step('a worker that is stopped beside a standby leaves its server alone', async () => {
    const master = await three.master();
    const standby = three.cluster.nodes.find(({ name }) => name !== master.name);
    assert.ok(standby !== undefined);
    const at = Date.now();
    assert.equal(await standby.worker.stop(), 0);
    assert.deepEqual(
      standby.worker.decisions(at).filter(({ reason }) => reason === 'master-left'),
      [],
    );
    await delay(failoverTimeMs + 1000);
    assert.equal(standby.server.isRunning(), true);
    standby.worker.start();
    await three.untilAllVote(master.name);
  });

  step('worker and guard killed at once: the next worker brings another guard', async () => {
    const master = await three.master();
    await three.untilAllVote(master.name);
    for (const pid of guardsOf(master)) process.kill(pid, 'SIGKILL');
    await master.worker.kill();
    assert.deepEqual(guardsOf(master), []);
    master.worker.start();
    await until('there is a guard', () => guardsOf(master).length === 1);
    await three.untilAllVote(master.name);
    assert.equal((await three.master()).name, master.name);
  });

  step('the guard is as hard to kill by the system as its worker', async () => {
    const master = await three.master();
    const [guard] = guardsOf(master);
    assert.ok(guard !== undefined && master.worker.pid !== null);
    // Higher than before needs no privilege.
    writeFileSync(`/proc/${master.worker.pid}/oom_score_adj`, '123');
    process.kill(guard, 'SIGKILL');
    const [next] = await until('there is another guard', () => {
      const found = guardsOf(master).filter((pid) => pid !== guard);
      return found.length > 0 ? found : undefined;
    });
    assert.equal(readFileSync(`/proc/${next}/oom_score_adj`, 'utf8').trim(), '123');
  });

  longStep('a program that was removed under its workers still ends the server of a dead one', async () => {
    const old = await three.master();
    await three.untilAllVote(old.name);
    await until('it has a guard', () => guardsOf(old).length === 1);
    removable.remove();
    const since = performance.now();
    await old.worker.kill();
    const next = await three.untilTakenOver(old, since);
    assert.equal(old.server.isRunning(), false);
    await three.assertNothingLost(next);
    // The new master cannot start a guard: it goes on, and says so.
    await until('it says that it has no guard', () =>
      readFileSync(next.worker.logPath, 'utf8').includes('this master has no guard'),
    );
    assert.equal((await three.master()).name, next.name);
    assert.deepEqual(await guardFinding(next), ['warning']);
    removable.bring();
    await until('it has a guard again', () => guardsOf(next).length === 1);
    assert.deepEqual(await guardFinding(next), ['ok']);
    old.worker.start();
    await three.untilAllVote(next.name);
    assert.deepEqual(await guardFinding(old), [], 'nothing is said of a server that is not the master');
  });

  step('when the registry is taken away the guard goes, and every server stays', async () => {
    const master = await three.master();
    await three.untilAllVote(master.name);
    const { code, err } = await pgkeeper(['migrate', '--down', '-d', master.server.conninfo()]);
    assert.equal(code, 0, err);
    await until('the guard has nothing to do', () =>
      readFileSync(master.worker.logPath, 'utf8').includes('"reason":"removed"'),
    );
    for (const { worker } of three.cluster.nodes) assert.equal(await worker.stop(), 0);
    await until('the guard is gone', () => guardsOf(master).length === 0);
    await delay(failoverTimeMs + 1000);
    for (const { server } of three.cluster.nodes) assert.equal(server.isRunning(), true);
    const [row] = await master.server.query<{ standby: boolean }>('select pg_is_in_recovery() as standby');
    assert.equal(row?.standby, false);
  });
});

describe('a cluster of one', { skip: process.platform === 'linux' ? false : 'the guard needs Linux' }, () => {
  test('is not ended when its worker is killed, since nobody else can be master', async () => {
    const one = await FailoverCluster.create({ nodes: 1 });
    try {
      await one.node('n1').worker.kill();
      await delay(failoverTimeMs + 1000);
      await one.untilWriting();
    } finally {
      await one.remove();
    }
  });
});
