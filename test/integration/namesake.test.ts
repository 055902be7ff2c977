/** A copy of a node, its configuration included: its worker would go by the name of a node that is there. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { keeperRole, makeTestFolder, TestCluster } from '../../src/testbed/cluster.js';
import { freePort } from '../../src/testbed/free-port.js';
import { TestServer } from '../../src/testbed/server.js';
import { TestWorker } from '../../src/testbed/worker-process.js';
import { pgkeeper, program } from '../support/command-line.js';
import { installation, keepaliveMs } from '../support/failover-cluster.js';
import { failed } from '../support/outcomes.js';
import { preparedServers } from '../support/prepared-servers.js';

describe('a copy of a node', { concurrency: false }, () => {
  const cluster = new TestCluster({
    nodes: 2,
    installation,
    program,
    keepaliveTime: `${keepaliveMs}ms`,
    ...preparedServers(),
  });
  const folder = makeTestFolder();
  let copy: TestServer;

  before(async () => {
    await cluster.create();
    const host = '127.0.0.1';
    const settings = { 'pg_keeper.node_name': 'n2', 'pg_keeper.keepalive_time': `${keepaliveMs}ms` };
    copy = new TestServer({ name: 'n2', folder, host, port: await freePort(host), installation, settings });
    await copy.copyOf(cluster.node('n1').server, keeperRole);
    await copy.start();
  });
  after(async () => {
    await cluster.remove();
    await copy?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  test('has no worker while the node is there, whose own worker may be started again', async () => {
    const outcome = await pgkeeper(['worker', '-D', copy.dataDirectory, '-d', copy.conninfo(keeperRole)]);
    failed(outcome, 4, /n2 is another server[\s\S]*pg_keeper\.node_name of its own/);
    const { worker } = cluster.node('n2');
    assert.equal(await worker.stop(), 0);
    const since = Date.now();
    worker.start();
    await worker.untilDecision('standby-connected', since);
  });

  test('may be its successor when the node is gone', async () => {
    const { worker, server } = cluster.node('n2');
    await worker.stop();
    await server.stop();
    const successor = new TestWorker({ program, server: copy, conninfo: copy.conninfo(keeperRole) });
    successor.start();
    try {
      await successor.untilDecision('standby-connected');
    } finally {
      await successor.stop();
    }
  });
});
