/** Every role meets every event: nothing throws, nothing spins, and nobody becomes master without a lease. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { newMaster } from '../../src/core/election/new-master.js';
import type { KeeperEvent } from '../../src/core/events.js';
import { parseLsn } from '../../src/core/lsn.js';
import { newKeeper } from '../../src/core/new-keeper.js';
import { enterStandby } from '../../src/core/own-server/own-server.js';
import type { Keeper } from '../../src/core/state.js';
import { step } from '../../src/core/step.js';
import { failoverTimeMs, type Observation, type Registry } from '../../src/core/types.js';
import { hasLease, leaseUntil } from '../../src/core/votes/lease.js';
import { look, settingsOfN1 } from '../support/core-state.js';

const voters = ['n1', 'n2', 'n3'].map((name, seqno) => ({
  name,
  kind: 'node' as const,
  conninfo: `host=${name}`,
  database: 'd',
  seqno,
}));

function registry(master: string): Registry {
  return {
    epoch: 3,
    version: 9,
    promotionId: 'p',
    promotions: [],
    systemIdentifier: '7',
    master,
    syncWish: 'ANY 1 (n1, n2, n3)',
    syncMembers: ['n2', 'n3'],
    syncNeeded: 1,
    syncWished: 1,
    voters,
    nodes: voters,
  } as unknown as Registry;
}

function observation(inRecovery: boolean, row: Registry | null): Observation {
  const position = parseLsn('0/5000000');
  return look({ inRecovery, received: position, registry: row });
}

/** A keeper after its first look, in the role that follows from it, and then put where `put` says. */
function keeperIn(put: (k: Keeper) => void, master = 'n2', inRecovery = true): Keeper {
  const k = newKeeper(settingsOfN1, 0);
  step(k, { kind: 'wake' }, 1);
  const attempt = k.links.get('n1')?.attempt ?? 0;
  const opened = step(k, { kind: 'session-opened', voter: 'n1', attempt }, 2);
  const command = opened.effects.find((effect) => effect.kind === 'command');
  assert.ok(command?.kind === 'command');
  step(
    k,
    {
      kind: 'answer',
      voter: 'n1',
      id: command.id,
      answer: { kind: 'observed', observation: observation(inRecovery, registry(master)) },
    },
    3,
  );
  put(k);
  return k;
}

const roles: Readonly<Record<string, () => Keeper>> = {
  starting: () => newKeeper(settingsOfN1, 0),
  idle: () =>
    keeperIn((k) => {
      k.role = { kind: 'idle' };
    }),
  standby: () => keeperIn((k) => enterStandby(k, k.now)),
  'electing, a claim': () => keeperIn(() => undefined, 'n1', false),
  master: () =>
    keeperIn(
      (k) => {
        k.role = newMaster(k, null, undefined);
      },
      'n1',
      false,
    ),
  ...Object.fromEntries(
    (['unknown', 'stopped-clean', 'crashed', 'retiring', 'retire-again', 'retired', 'starting'] as const).map(
      (server) => [
        `down, ${server}`,
        () =>
          keeperIn((k) => {
            k.role = {
              kind: 'down',
              wasMaster: true,
              since: k.now,
              server,
              retryAt: k.now,
              tries: 0,
            };
          }),
      ],
    ),
  ),
  rejoining: () =>
    keeperIn((k) => {
      k.role = {
        kind: 'rejoining',
        since: k.now,
        source: 'n2',
        pausedUntil: Number.POSITIVE_INFINITY,
        tries: 0,
      };
    }),
};

const events: readonly KeeperEvent[] = [
  { kind: 'wake' },
  { kind: 'hint' },
  ...['n1', 'n2', 'stranger'].flatMap((voter): KeeperEvent[] => [
    { kind: 'session-opened', voter, attempt: 1 },
    ...(
      [
        'refused',
        'cut',
        'timeout',
        'unreachable',
        'planned-stop',
        'starting-up',
        'shutting-down',
        'speaks',
        'foreign',
        'closed',
      ] as const
    ).map((failure): KeeperEvent => ({ kind: 'session-lost', voter, attempt: 1, failure, detail: 'x' })),
    { kind: 'answer', voter, id: 1, answer: { kind: 'renewed' } },
    { kind: 'answer', voter, id: 2, answer: { kind: 'done' } },
    { kind: 'answer', voter, id: 3, answer: { kind: 'vote', granted: true, birthAgeMs: 1e9, workers: [] } },
    { kind: 'answer', voter, id: 4, answer: { kind: 'observed', observation: observation(true, null) } },
    { kind: 'answer', voter, id: 5, answer: { kind: 'wish', file: null, effective: '' } },
  ]),
  ...[true, false, null].map((sees): KeeperEvent => ({ kind: 'indirect-answer', via: 'n3', round: 1, sees })),
  ...[true, false].flatMap((ok): KeeperEvent[] => [
    { kind: 'own-probe', alive: ok },
    { kind: 'server-retired', ok, detail: 'x' },
    { kind: 'server-started', ok, detail: 'x' },
    { kind: 'server-rejoined', ok, detail: 'x' },
    { kind: 'hook-done', hook: 'fencing', event: 'fencing', ok, detail: 'x', ran: true },
    ...(['running', 'stopped-clean', 'crashed'] as const).map(
      (server): KeeperEvent => ({ kind: 'server-inspected', server, standby: ok }),
    ),
  ]),
  { kind: 'settings', settings: { ...settingsOfN1, keepaliveTimeMs: 1000, leaseTtlMs: 2000 } },
];

describe('every role and every event', () => {
  for (const [name, make] of Object.entries(roles)) {
    test(name, () => {
      for (const event of events) {
        const k = make();
        const wasMaster = k.role.kind === 'master';
        let turn = step(k, event, k.now + 1);
        assert.ok(turn.wakeAt > k.now, `${event.kind}: a wake lies in the future`);
        // Left alone after it: time passes, nothing comes; the keeper must neither throw nor claim what it has not.
        for (let wakes = 0; wakes < 50 && Number.isFinite(turn.wakeAt); wakes++) {
          turn = step(k, { kind: 'wake' }, turn.wakeAt);
          assert.ok(turn.effects.length < 60, `${event.kind}: a flood of effects`);
          if (k.role.kind === 'master' && !wasMaster)
            assert.ok(hasLease(k), `${event.kind}: master without a lease`);
        }
      }
    });
  }
});

test('a lease lost at once, because its voters restarted, may be claimed for as long as one that ran out', () => {
  const renewedAt = 1000;
  const k = keeperIn(
    (keeper) => {
      keeper.role = newMaster(keeper, null, undefined);
      for (const link of keeper.links.values()) {
        link.session = 'open';
        link.vote = { renewedAt, grantedAt: 0, ttlMs: settingsOfN1.leaseTtlMs, workers: [] };
      }
    },
    'n1',
    false,
  );
  const roleOf = (keeper: Keeper) => keeper.role;
  step(k, { kind: 'wake' }, renewedAt + 1);
  assert.equal(roleOf(k).kind, 'master');
  const goodUntil = leaseUntil(k);
  for (const voter of ['n2', 'n3']) {
    const attempt = k.links.get(voter)?.attempt ?? 0;
    step(k, { kind: 'session-lost', voter, attempt, failure: 'planned-stop', detail: 'x' }, renewedAt + 2);
  }
  const role = roleOf(k);
  assert.ok(role.kind === 'electing' && role.cause === 'claim', 'it asks for the lease again');
  // Servers that restarted vote again once they are lease_ttl old; T after the last renewal is soon enough to fence.
  assert.equal(role.giveUpAt, goodUntil + failoverTimeMs(settingsOfN1) - settingsOfN1.leaseTtlMs);
  assert.ok((role.giveUpAt ?? 0) - k.now > settingsOfN1.leaseTtlMs);
});
