/** A wish for synchronous replication that is in the files and not yet in the registry when the master dies. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from '../../src/worker/worker.js';
import { defaultSettings } from '../support/core-state.js';
import { Cluster } from './cluster.js';

test('a promotion under a new wish lets no commit go by nodes outside the set of its row', () => {
  const wish = 'ANY 1 (n1, n2, n3)';
  const topology = {
    nodes: 3,
    witnesses: 0,
    wish: '',
    settings: defaultSettings,
    latencyMs: 0.5,
    clockError: 0,
  };
  const cluster = new Cluster(topology, 1, Worker, true);
  const { world, watcher, hosts } = cluster;
  cluster.start();
  world.runUntil(60_000);
  const first = hosts[0];
  assert.ok(first !== undefined);
  first.killWorker();
  for (const { server } of hosts) {
    server.alterSystem({ userNames: wish });
    server.reload();
  }
  let names: string | null = null;
  cluster.onDecision = (host, code) => {
    if (code === 'promoted') names = host.server.configuration.autoNames;
  };
  first.server.crash('test');
  world.runUntil(110_000);
  assert.deepEqual(watcher.violations, []);
  assert.equal(names, 'pgkeeper_hold', 'until the row stands and the names are those of its set');
  assert.equal(cluster.row?.syncNeeded, 1);
});
