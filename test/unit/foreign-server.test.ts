/** Another server under the conninfo of a node: told once, and again when it is yet another one or the right one was there between. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ingestLink } from '../../src/core/links.js';
import { parseLsn } from '../../src/core/lsn.js';
import { newKeeper, newLink } from '../../src/core/new-keeper.js';
import { sentence } from '../../src/core/reasons.js';
import { newTurn } from '../../src/core/turn.js';
import type { Observation } from '../../src/core/types.js';
import { look, rowOf, settingsOfN1 } from '../support/core-state.js';

const registry = rowOf(3, 'n1');

/** What is told when n2's conninfo shows these servers, one look after the other. */
function toldOf(...shown: readonly Partial<Observation>[]): readonly string[] {
  const k = newKeeper(settingsOfN1, 0);
  k.registry = registry;
  const link = newLink('n2', 0);
  k.links.set('n2', link);
  return shown.flatMap((observation) => {
    const turn = newTurn();
    k.now += 1000;
    link.session = 'open';
    link.busy = { id: k.nextId, command: { kind: 'observe' }, sentAt: k.now } as typeof link.busy;
    const answered = look({ inRecovery: true, received: parseLsn('0/5000000'), registry, ...observation });
    ingestLink(k, turn, {
      kind: 'answer',
      voter: 'n2',
      id: k.nextId,
      answer: { kind: 'observed', observation: answered },
    });
    return turn.reasons.filter(({ code }) => code === 'foreign-server').map(sentence);
  });
}

const right = { nodeName: 'n2' };
const renamed = { nodeName: 'n9' };
const ofAnotherCluster = { nodeName: 'n2', systemIdentifier: '8' };

test('a node whose server was renamed is told of once, however long it lasts', () => {
  const told = toldOf(renamed, renamed, renamed, renamed);
  assert.equal(told.length, 1);
  assert.match(told[0] ?? '', /in the place of n2 \(system identifier 7, pg_keeper\.node_name n9\)/);
});

test('what changes is told anew', () => {
  assert.equal(toldOf(renamed, ofAnotherCluster, ofAnotherCluster, renamed).length, 3);
  assert.equal(toldOf(renamed, right, right, renamed).length, 2);
  assert.deepEqual(toldOf(right, {}, right), [], 'a server without a name of its own may be n2');
});
