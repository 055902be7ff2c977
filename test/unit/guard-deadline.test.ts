/** What the guard is told in each state of a lost server: when to end it, and when to leave it alone. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { guardOrder } from '../../src/core/guard-deadline.js';
import { type Keeper, newKeeper, type Role } from '../../src/core/state.js';

type Down = Extract<Role, { kind: 'down' }>;

function keeperWithout(server: Down['server']): Keeper {
  const k = newKeeper(
    {
      name: 'n1',
      keepaliveTimeMs: 1000,
      keepaliveCount: 3,
      leaseTtlMs: 2000,
      fastFailover: true,
      quorum: 'auto',
      priority: 100,
      startupGraceMs: 30_000,
      fencingCommand: false,
      seed: 1,
    },
    0,
  );
  k.role = { kind: 'down', wasMaster: true, since: 0, server, retryAt: 0, tries: 0 };
  return k;
}

test('a former master that nobody has proved dead is ended', () => {
  for (const server of ['unknown', 'stopped-clean', 'retiring', 'retire-again'] as const)
    assert.equal(guardOrder(keeperWithout(server)).kind, 'end-at', server);
});

test('one that was retired is left alone: its recovery as a standby may last as long as it likes', () => {
  for (const server of ['retired', 'starting', 'crashed'] as const)
    assert.equal(guardOrder(keeperWithout(server)).kind, 'stand-down', server);
});
