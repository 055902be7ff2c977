/** The worker as systemd sees it: ready, alive, reloading, stopping; killed when it hangs, without harm to server and guard. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { serverProcesses } from '../../src/process/processes.js';
import { until } from '../../src/testbed/until.js';
import { FailoverCluster, keepaliveMs, stepsOn } from '../support/failover-cluster.js';
import { guardsOf } from '../support/guards.js';
import { NotifySocket, whyNoNotifySocket } from '../support/notify-socket.js';
import { skipLoudly } from '../support/skip.js';

const why = whyNoNotifySocket();
/** T = 6 s, lease_ttl = 4 s: half of the lease, as in the unit. */
const watchdogMs = 2000;

test('a service manager can be played here', (context) => {
  if (why !== null) skipLoudly(context, why);
});

describe('the worker under a service manager', { concurrency: false, skip: why ?? false }, () => {
  let three: FailoverCluster;
  let socket: NotifySocket;
  const forWorker = () => ({ NOTIFY_SOCKET: socket.path, WATCHDOG_USEC: String(watchdogMs * 1000) });

  before(async () => {
    three = await FailoverCluster.create({
      nodes: 3,
      syncNames: 'ANY 1 (n1, n2, n3)',
      keepaliveTime: `${2 * keepaliveMs}ms`,
    });
    socket = new NotifySocket(join(three.cluster.folder, 'notify'));
    await socket.untilSaid('LISTENING');
  });

  after(async () => {
    socket?.end();
    await three.remove();
  });

  const step = stepsOn(() => three);

  step('it is ready when it has looked at its server, and shows its state', async () => {
    const { worker } = three.node('n1');
    await worker.stop();
    const since = performance.now();
    worker.start([], forWorker());
    const ready = await socket.untilSaid('READY=1', since);
    assert.ok(
      ready.assignments.some((one) => one.startsWith('STATUS=n1 (')),
      ready.assignments.join(' '),
    );
    await socket.untilSaid('STATUS=n1 (master:connected, 3)', since);
    assert.equal(socket.said('READY=1', since).length, 1);
    await three.untilAllVote('n1');
  });

  step('an idle worker is never silent for as long as the watchdog waits', async () => {
    const since = performance.now();
    await delay(4 * watchdogMs);
    const times = [since, ...socket.said('WATCHDOG=1', since).map(({ at }) => at), performance.now()];
    const gaps = times.slice(1).map((at, i) => at - (times[i] ?? at));
    assert.ok(Math.max(...gaps) < watchdogMs, gaps.map(Math.round).join(', '));
  });

  step('a reload is told, with the time at which it began', async () => {
    const since = performance.now();
    three.node('n1').worker.signal('SIGHUP');
    const reloading = await socket.untilSaid('RELOADING=1', since);
    const ready = await socket.untilSaid('READY=1', since);
    assert.ok(reloading.at < ready.at);
    const usec = reloading.assignments.find((one) => one.startsWith('MONOTONIC_USEC='))?.split('=')[1];
    const agoMs = Number(process.hrtime.bigint() / 1000n - BigInt(usec ?? 0)) / 1000;
    assert.ok(agoMs > 0 && agoMs < 10_000, `${agoMs} ms ago`);
  });

  step('nothing that the worker starts can speak for the unit', async () => {
    const [guard] = guardsOf(three.node('n1'));
    assert.ok(guard !== undefined);
    const environment = readFileSync(`/proc/${guard}/environ`, 'utf8');
    for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID'])
      assert.equal(environment.includes(name), false, name);
  });

  step(
    'a worker that hangs falls silent; killed for that, it leaves server and guard as they are',
    async () => {
      const { worker, server } = three.node('n1');
      const postmaster = postmasterOf(server.dataDirectory);
      const guards = guardsOf(three.node('n1'));
      assert.equal(guards.length, 1);
      const since = performance.now();
      worker.freeze();
      await untilSilent(since);
      await worker.kill();
      // RestartSec.
      await delay(200);
      worker.start([], forWorker());
      await three.untilAllVote('n1');
      assert.equal(postmasterOf(server.dataDirectory), postmaster, 'the same server');
      assert.deepEqual(guardsOf(three.node('n1')), guards, 'the same guard');
      assert.equal((await three.master()).name, 'n1');
    },
  );

  step('stopping is told', async () => {
    const { worker } = three.node('n1');
    const since = performance.now();
    assert.equal(await worker.stop(), 0);
    await socket.untilSaid('STOPPING=1', since);
    worker.start([], forWorker());
    await three.untilAllVote('n1');
  });

  step('a server that is down does not keep it from being ready', async () => {
    const { worker, server } = three.node('n3');
    await worker.stop();
    await server.stop();
    const since = performance.now();
    worker.start([], forWorker());
    const ready = await socket.untilSaid('READY=1', since);
    await socket.untilSaid('STATUS=n3 (unreachable', since);
    assert.ok(ready.at - since < 20_000);
    await server.start();
    await three.untilAllVote('n1');
  });

  step('without systemd-notify it says so once and works as ever', async () => {
    const { worker } = three.node('n2');
    await worker.stop();
    const before = logOf(worker.logPath).length;
    worker.start([], { ...forWorker(), PATH: '/nonexistent' });
    await three.untilAllVote('n1');
    await delay(2 * watchdogMs);
    const told = logOf(worker.logPath)
      .slice(before)
      .match(/systemd cannot be told of this worker/g);
    assert.equal(told?.length, 1);
    assert.ok(worker.isRunning());
  });

  function postmasterOf(dataDirectory: string): number | undefined {
    return serverProcesses(dataDirectory).find(({ title }) => !title.startsWith('postgres: '))?.pid;
  }

  /** As systemd does it: the time counts from the last sign of life. */
  async function untilSilent(since: number): Promise<void> {
    await until('the watchdog runs out', () => {
      const last = Math.max(since - watchdogMs / 2, ...socket.said('WATCHDOG=1').map(({ at }) => at));
      return performance.now() - last > watchdogMs;
    });
  }

  function logOf(path: string): string {
    return readFileSync(path, 'utf8');
  }
});
