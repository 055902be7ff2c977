/** Two nodes alone may both have become master while a link was cut: when they see each other again, one of them ends. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newMaster } from '../../src/core/election/new-master.js';
import { parseLsn } from '../../src/core/lsn.js';
import { newKeeper } from '../../src/core/new-keeper.js';
import { decideMaster } from '../../src/core/roles/master.js';
import { step } from '../../src/core/step.js';
import { newTurn } from '../../src/core/turn.js';
import type { Registry } from '../../src/core/types.js';
import { look, rowOf, settingsOfN1 } from '../support/core-state.js';

/** A master of epoch 3 with its own vote, beside whom `newest` is the newest row that it has seen anywhere. */
function decideBeside(newest: Registry): readonly string[] {
  const k = newKeeper(settingsOfN1, 0);
  k.registry = rowOf(3, 'n1');
  step(k, { kind: 'wake' }, 1);
  k.now = 1000;
  k.role = newMaster(k, null, undefined);
  k.now = 1001;
  const position = parseLsn('0/5000000');
  for (const [name, master, epoch] of [
    ['n1', 'n1', 3],
    ['n2', newest.master ?? '', newest.epoch],
  ] as const) {
    const link = k.links.get(name);
    assert.ok(link);
    link.session = 'open';
    link.lastAlive = k.now;
    link.obsAt = k.now;
    link.obsDoneAt = k.now;
    link.vote = name === 'n1' ? { renewedAt: k.now, ttlMs: 10_000, grantedAt: k.now, workers: [] } : null;
    link.obs = look({
      nodeName: name,
      inRecovery: false,
      received: position,
      registry: rowOf(epoch, master),
    });
  }
  k.registry = newest;
  const turn = newTurn();
  assert.ok(k.role.kind === 'master');
  decideMaster(k, turn, k.role);
  return turn.effects.map(({ kind }) => kind);
}

test('a master that sees a newer epoch of somebody else ends its server', () => {
  assert.ok(decideBeside(rowOf(4, 'n2')).includes('retire-server'));
});

test('one that has the newest row itself goes on', () => {
  assert.ok(!decideBeside(rowOf(3, 'n1')).includes('retire-server'));
});
