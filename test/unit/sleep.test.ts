/** A machine that slept has no votes, whatever was on its way to it when it fell asleep (I2). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newMaster } from '../../src/core/election/new-master.js';
import type { Answer } from '../../src/core/events.js';
import { newKeeper, newLink } from '../../src/core/new-keeper.js';
import type { Keeper, Link } from '../../src/core/state.js';
import { step } from '../../src/core/step.js';
import { newTurn, send } from '../../src/core/turn.js';
import type { Registry } from '../../src/core/types.js';
import { hasLease, lapseVotes } from '../../src/core/votes/lease.js';
import { settingsOfN1 } from '../support/core-state.js';

const names = ['n1', 'n2', 'n3'];

/** A master with an open session to every voter. */
function master(): Keeper {
  const k = newKeeper(settingsOfN1, 100_000);
  const nodes = names.map((name, seqno) => ({ name, kind: 'node', conninfo: '', database: 'd', seqno }));
  const row = { epoch: 3, version: 9, master: 'n1', syncMembers: [], syncNeeded: 0, syncWished: 0 };
  k.registry = { ...row, voters: nodes, nodes } as unknown as Registry;
  k.linksMatch = k.registry;
  for (const name of names) {
    const link = k.links.get(name) ?? newLink(name, k.now);
    k.links.set(name, Object.assign(link, { session: 'open', database: 'd' }));
  }
  k.role = newMaster(k, null, undefined);
  return k;
}

function linkTo(k: Keeper, name: string): Link {
  return k.links.get(name) as Link;
}

function answers(k: Keeper, name: string, answer: Answer): void {
  step(k, { kind: 'answer', voter: name, id: linkTo(k, name).busy?.id ?? -1, answer }, k.now);
}

for (const slept of [false, true]) {
  test(`a renewal that is answered ${slept ? 'after a sleep keeps no vote' : 'at once keeps its vote'}`, () => {
    const k = master();
    for (const name of names) {
      const link = linkTo(k, name);
      link.vote = { renewedAt: k.now, grantedAt: k.now, ttlMs: settingsOfN1.leaseTtlMs, workers: [] };
      send(k, newTurn(), link, { kind: 'renew' });
    }
    if (slept) lapseVotes(k);
    for (const name of names) answers(k, name, { kind: 'renewed' });
    assert.equal(hasLease(k), !slept);
  });

  test(`a vote that is granted ${slept ? 'after a sleep is none' : 'at once is held'}`, () => {
    const k = master();
    for (const name of names) send(k, newTurn(), linkTo(k, name), { kind: 'try-vote', knownMs: 0 });
    if (slept) lapseVotes(k);
    k.role = { kind: 'idle' };
    for (const name of names)
      answers(k, name, { kind: 'vote', granted: true, birthAgeMs: 1e9, workers: [], ttlMs: 10_000 });
    assert.equal(hasLease(k), !slept);
  });
}
