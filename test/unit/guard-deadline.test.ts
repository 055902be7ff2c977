/** What the guard is told in each role: when a server has to end without its worker, and when it must be left alone. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type GuardOrder, guardOrder } from '../../src/core/guard-deadline.js';
import { newKeeper, newLink } from '../../src/core/new-keeper.js';
import { newMaster } from '../../src/core/new-master.js';
import { enterStandby } from '../../src/core/own-server.js';
import type { Keeper, Role } from '../../src/core/state.js';
import type { CoreSettings, Registry } from '../../src/core/types.js';

const settings: CoreSettings = {
  name: 'n1',
  keepaliveTimeMs: 5000,
  keepaliveCount: 3,
  leaseTtlMs: 10_000,
  fastFailover: true,
  quorum: 'auto',
  priority: 100,
  startupGraceMs: 30_000,
  fencingCommand: false,
  poolPauseMs: 0,
  seed: 1,
};
const renewedAt = 100_000;
const marginMs = 500;
const leaseEnd = renewedAt + settings.leaseTtlMs - marginMs;

/** A master of that many voters which has just renewed every vote. */
function keeper(voters: number, syncNeeded: number, put: (k: Keeper) => void = () => undefined): Keeper {
  const k = newKeeper(settings, renewedAt);
  const names = Array.from({ length: voters }, (_, i) => `n${i + 1}`);
  const nodes = names.map((name, seqno) => ({ name, kind: 'node', conninfo: '', database: 'd', seqno }));
  k.registry = {
    epoch: 3,
    version: 9,
    master: 'n1',
    syncMembers: [],
    syncNeeded,
    syncWished: syncNeeded,
    voters: nodes,
    nodes,
  } as unknown as Registry;
  for (const name of names) {
    const link = k.links.get(name) ?? newLink(name, renewedAt);
    link.vote = { renewedAt, grantedAt: renewedAt, ttlMs: settings.leaseTtlMs, workers: [] };
    link.lastAlive = renewedAt;
    k.links.set(name, link);
  }
  k.role = newMaster(k, null, undefined);
  put(k);
  return k;
}

function down(server: Extract<Role, { kind: 'down' }>['server'], wasMaster = true): (k: Keeper) => void {
  return (k) => {
    k.role = { kind: 'down', wasMaster, since: renewedAt, server, retryAt: renewedAt, tries: 0 };
  };
}

function endsAt(order: GuardOrder): number {
  assert.ok(order.kind === 'end-at', order.kind);
  return order.at;
}

test('a master is ended half a margin after its lease, with sync in effect after T', () => {
  assert.equal(endsAt(guardOrder(keeper(3, 0))), leaseEnd + marginMs / 2);
  assert.equal(endsAt(guardOrder(keeper(3, 1))), leaseEnd + 5000 + marginMs / 2);
});

test('with sync off a server that fell silent is ended before others have not seen it for T', () => {
  const silentAt = renewedAt - 6000;
  const silent = (k: Keeper) => {
    for (const link of k.links.values()) link.lastAlive = silentAt;
  };
  assert.equal(endsAt(guardOrder(keeper(3, 0, silent))), silentAt + 10_000 + marginMs / 2);
  assert.equal(endsAt(guardOrder(keeper(3, 1, silent))), silentAt + 15_000 + marginMs / 2);
});

test('nobody else can be master of a cluster with one voter: its server is never ended', () => {
  assert.equal(guardOrder(keeper(1, 0)).kind, 'stand-down');
});

test('two voters may be two masters, so they have a guard', () => {
  assert.equal(guardOrder(keeper(2, 0)).kind, 'end-at');
});

test('a server that is dead for certain may take longer than T to start again', () => {
  for (const server of ['retired', 'starting', 'crashed'] as const)
    assert.equal(guardOrder(keeper(3, 1, down(server))).kind, 'stand-down', server);
});

test('a server that is not proven dead is ended T after it was lost at the latest', () => {
  for (const server of ['unknown', 'stopped-clean', 'retiring', 'retire-again'] as const)
    assert.ok(endsAt(guardOrder(keeper(3, 1, down(server)))) <= renewedAt + 15_000 + marginMs, server);
});

test('a worker that has not seen its server yet leaves the word of the one before', () => {
  assert.equal(guardOrder(newKeeper(settings, 0)).kind, 'unchanged');
  const hanging = newKeeper(settings, 0);
  down('unknown', false)(hanging);
  assert.equal(guardOrder(hanging).kind, 'unchanged');
});

test('no guard beside a standby, or a server that is no node', () => {
  assert.equal(guardOrder(keeper(3, 1, (k) => enterStandby(k, 0))).kind, 'stand-down');
  const removed = keeper(3, 1, (k) => {
    k.role = { kind: 'idle' };
    k.registry = null;
  });
  assert.equal(guardOrder(removed).kind, 'stand-down');
});
