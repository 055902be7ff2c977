/** A worker that ends its server: what others may see of it meanwhile, since a session without the lock says that a vote was given up. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newKeeper, newLink } from '../../src/core/new-keeper.js';
import { retire } from '../../src/core/own-server/own-server.js';
import { newTurn } from '../../src/core/turn.js';
import { settingsOfN1 } from '../support/core-state.js';

test('sessions without a lock end with the decision to end the server, those with one stay until it is dead', () => {
  const k = newKeeper(settingsOfN1, 0);
  k.now = 1000;
  for (const name of ['n1', 'n2', 'n3', 'n4']) {
    const link = k.links.get(name) ?? newLink(name, 0);
    k.links.set(name, link);
    link.session = name === 'n4' ? 'opening' : 'open';
  }
  const held = k.links.get('n2');
  assert.ok(held);
  held.vote = { renewedAt: k.now, ttlMs: 10_000, grantedAt: k.now, workers: [] };
  const turn = newTurn();
  retire(k, turn);
  const closed = turn.effects.flatMap((effect) => (effect.kind === 'close' ? [effect.voter] : []));
  assert.deepEqual(closed, ['n3', 'n4']);
  assert.equal(held.session, 'open');
  assert.notEqual(held.vote, null);
});
