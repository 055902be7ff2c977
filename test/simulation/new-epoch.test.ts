/** The first act of an epoch when standbys that it needs are not there. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from '../../src/worker/worker.js';
import { defaultSettings } from '../support/core-state.js';
import { Cluster } from './cluster.js';
import { boot } from './process-faults.js';

test('a master that comes back with one of its two synchronous standbys goes on with less', () => {
  const topology = {
    nodes: 3,
    witnesses: 0,
    wish: 'ANY 2 (n1, n2, n3)',
    settings: defaultSettings,
    latencyMs: 0.5,
    clockError: 0,
  };
  const cluster = new Cluster(topology, 1, Worker, true);
  const { world, watcher, hosts } = cluster;
  cluster.start();
  world.runUntil(60_000);
  assert.equal(cluster.row?.syncNeeded, 2);
  for (const host of hosts) host.powerOff();
  world.runUntil(61_000);
  for (const host of hosts.slice(0, 2)) boot(cluster, host);
  world.runUntil(150_000);
  assert.deepEqual(watcher.violations, []);
  assert.equal(hosts[0]?.server.writable, true);
  assert.equal(cluster.row?.syncNeeded, 1);
  assert.ok(watcher.lastAcknowledged > 140_000, 'takes writes without the third node');
});
