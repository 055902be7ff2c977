/** What the guard is told in each role: when a server has to end without its worker, and when it must be left alone. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { enterPhase, startElection } from '../../src/core/election/election-round.js';
import { newMaster } from '../../src/core/election/new-master.js';
import { type GuardOrder, guardOrder } from '../../src/core/guard-deadline.js';
import { newKeeper, newLink } from '../../src/core/new-keeper.js';
import { enterStandby } from '../../src/core/own-server/own-server.js';
import type { Keeper, Role } from '../../src/core/state.js';
import { newTurn } from '../../src/core/turn.js';
import type { Registry } from '../../src/core/types.js';
import { settingsOfN1 } from '../support/core-state.js';

const renewedAt = 100_000;
const marginMs = 500;
const leaseEnd = renewedAt + settingsOfN1.leaseTtlMs - marginMs;

/** A master of that many voters which has just renewed every vote. */
function keeper(voters: number, syncNeeded: number, put: (k: Keeper) => void = () => undefined): Keeper {
  const k = newKeeper(settingsOfN1, renewedAt);
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
    link.vote = { renewedAt, grantedAt: renewedAt, ttlMs: settingsOfN1.leaseTtlMs, workers: [] };
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

/** A claim that began when the votes of the worker before were lost, and holds so many of them again. */
function claiming(held: number, epoch = 0): (k: Keeper) => void {
  return (k) => {
    startElection(k, newTurn(), 'claim', renewedAt - 4000, renewedAt);
    for (const name of ['n3', 'n2', 'n1'].slice(0, 3 - held))
      Object.assign(k.links.get(name) ?? {}, { vote: null });
    if (k.role.kind !== 'electing') return;
    k.role.epoch = epoch;
    if (epoch > 0) enterPhase(k, k.role, 'freeze');
  };
}

test('a claim moves an earlier deadline when it holds the votes, with sync off by looks as well', () => {
  const isProven = (order: GuardOrder) => order.kind === 'end-at' && order.proven;
  const untilGivenUp = renewedAt - 4000 + 15_000 + marginMs / 2;
  const withSync = guardOrder(keeper(3, 1, claiming(2)));
  assert.ok(isProven(withSync));
  assert.equal(endsAt(withSync), untilGivenUp);
  assert.ok(!isProven(guardOrder(keeper(3, 1, claiming(1)))));
  assert.ok(!isProven(guardOrder(keeper(3, 0, claiming(3)))));
  assert.ok(isProven(guardOrder(keeper(3, 0, claiming(2, 4)))));
  assert.ok(!isProven(guardOrder(keeper(3, 0, claiming(1, 4)))));
});

test('a claim that is decided lives by its lease alone', () => {
  const decided = keeper(3, 0, claiming(3, 4));
  if (decided.role.kind === 'electing') enterPhase(decided, decided.role, 'establish');
  const order = guardOrder(decided);
  assert.ok(order.kind === 'end-at' && order.proven);
  assert.equal(order.at, leaseEnd + marginMs / 2);
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
  assert.equal(guardOrder(newKeeper(settingsOfN1, 0)).kind, 'unchanged');
  const hanging = newKeeper(settingsOfN1, 0);
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
