/** PgBouncer around a switchover: when the core pauses, and who resumes when. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newMaster } from '../../src/core/election/new-master.js';
import type { KeeperEvent } from '../../src/core/events.js';
import { decideHandover, ingestHandover } from '../../src/core/handover/handover.js';
import { pausePools, watchPools } from '../../src/core/handover/pools.js';
import type { Handover, Master } from '../../src/core/master-state.js';
import { newKeeper } from '../../src/core/new-keeper.js';
import type { Keeper } from '../../src/core/state.js';
import { newTurn, type Turn } from '../../src/core/turn.js';
import type { CoreSettings, Observation, OpenRequest, Registry } from '../../src/core/types.js';

const settings: CoreSettings = {
  name: 'n1',
  keepaliveTimeMs: 1000,
  keepaliveCount: 3,
  leaseTtlMs: 2000,
  fastFailover: true,
  quorum: 'auto',
  priority: 100,
  startupGraceMs: 30_000,
  fencingCommand: false,
  poolPauseMs: 5000,
  seed: 1,
};

function row(request: Partial<OpenRequest> | null, epoch = 3): Registry {
  const nodes = ['n1', 'n2', 'n3'].map((name) => ({
    name,
    kind: 'node',
    conninfo: '',
    ...(request === null || name !== 'n1' ? {} : { request: { id: 7, target: 'n2', epoch: 3, ...request } }),
  }));
  return { epoch, version: 9, master: 'n1', nodes, voters: nodes, syncMembers: [] } as unknown as Registry;
}

const looked = { workers: [], replication: [] } as unknown as Observation;

interface Play {
  readonly k: Keeper;
  readonly m: Master;
  /** One decision, with what it asks for and says. */
  readonly decide: () => Turn;
  readonly hear: (event: KeeperEvent) => Turn;
}

function playOf(request: Partial<OpenRequest>, handover: Partial<Handover> | null): Play {
  const k = newKeeper(settings, 0);
  k.registry = row(request);
  const m = newMaster(k, null, undefined);
  k.role = m;
  m.establishedVersion = 9;
  const fresh = { request: 7, target: 'n2', since: 0, sent: false, lsn: null, outcome: null };
  m.handover = handover === null ? null : { ...fresh, phase: 'check', ...handover };
  return {
    k,
    m,
    decide: () => {
      const turn = newTurn();
      decideHandover(k, turn, m, looked);
      return turn;
    },
    hear: (event) => {
      const turn = newTurn();
      ingestHandover(k, turn, m, event, null);
      return turn;
    },
  };
}

const kinds = ({ effects }: Turn) => effects.map(({ kind }) => kind);
const codes = ({ reasons }: Turn) => reasons.map(({ code }) => code);
const resumed: KeeperEvent = { kind: 'pools-resumed', ok: true, detail: '', resumed: 1, named: 1 };

test('clients are paused after the checkpoint, once, and only then anything is given away', () => {
  const { m, decide, hear } = playOf({ state: 'running' }, { phase: 'checkpoint', sent: true });
  hear({ kind: 'own-checkpoint', ok: true, detail: '' });
  assert.equal(m.handover?.phase, 'pause');
  assert.deepEqual(kinds(decide()), ['pause-pools']);
  assert.deepEqual(kinds(decide()), []);
  assert.deepEqual(codes(hear({ kind: 'pools-paused', ok: true, detail: '' })), ['pools-paused']);
  assert.equal(m.handover?.phase, 'mark');
});

test('nobody is paused while a change of the registry is under way, or its row is not on a majority', () => {
  const { m, decide } = playOf({ state: 'running' }, { phase: 'pause' });
  m.establishedVersion = 8;
  assert.deepEqual(kinds(decide()), []);
  m.establishedVersion = 9;
  assert.deepEqual(kinds(decide()), ['pause-pools']);
});

test('without a PgBouncer there is no pause', () => {
  const { k, m, decide } = playOf({ state: 'running' }, { phase: 'pause' });
  k.settings = { ...settings, poolPauseMs: 0 };
  assert.deepEqual(kinds(decide()), []);
  assert.equal(m.handover?.phase, 'mark');
});

test('a PAUSE that was not done fails the switchover; one that is not answered is undone as well', () => {
  const refused = playOf({ state: 'running' }, { phase: 'pause' });
  refused.decide();
  const turn = refused.hear({ kind: 'pools-paused', ok: false, detail: 'a transaction is open' });
  assert.deepEqual(codes(turn), ['switchover-failed']);
  assert.deepEqual(refused.m.handover?.outcome, { state: 'failed', reason: 'a transaction is open' });
  const silent = playOf({ state: 'running' }, { phase: 'pause' });
  silent.decide();
  silent.k.now = 60_000;
  assert.deepEqual(codes(silent.decide()), ['switchover-failed']);
  assert.deepEqual(kinds(silent.decide()), ['resume-pools']);
});

test('what fails after the PAUSE resumes before the request ends', () => {
  const { k, m, decide, hear } = playOf({ state: 'running' }, { phase: 'pause' });
  decide();
  hear({ kind: 'pools-paused', ok: true, detail: '' });
  k.now = 60_000;
  assert.deepEqual(codes(decide()), ['switchover-failed']);
  assert.equal(m.handover?.phase, 'resume');
  assert.deepEqual(kinds(decide()), ['resume-pools']);
  assert.equal(m.handover?.phase, 'resume');
  hear(resumed);
  assert.equal(m.handover?.phase, 'tell');
});

test('whoever is master and finds a switchover under way resumes, after its after_command', () => {
  for (const state of ['running', 'handing-over'] as const) {
    const { m, decide, hear } = playOf({ state, target: 'n1', epoch: 2 }, null);
    m.commandRuns = true;
    assert.deepEqual(kinds(decide()), []);
    assert.deepEqual(kinds(decide()), []);
    m.commandRuns = false;
    assert.deepEqual(kinds(decide()), ['resume-pools']);
    assert.deepEqual(kinds(decide()), []);
    hear(resumed);
    assert.equal(m.handover?.phase, 'tell');
  }
});

test('a request that was only asked has paused nobody', () => {
  const { decide } = playOf({ state: 'asked' }, null);
  assert.deepEqual(kinds(decide()), []);
});

test('a request that somebody ends in the table leaves nobody paused', () => {
  const { k, decide } = playOf({ state: 'running' }, { phase: 'pause' });
  decide();
  k.registry = row(null);
  assert.deepEqual(kinds(decide()), ['resume-pools']);
});

function watched(registry: Registry, now: number): Turn {
  const k = newKeeper(settings, 0);
  k.registry = row({ state: 'handing-over' });
  pausePools(k, newTurn(), 7);
  k.registry = registry;
  k.now = now;
  const turn = newTurn();
  watchPools(k, turn);
  return turn;
}

test('the worker that paused resumes by itself when nobody is known to have done so', () => {
  const open = row({ state: 'handing-over' });
  assert.deepEqual(kinds(watched(open, 11_999)), []);
  assert.equal(watched(open, 11_999).wakeAt, 12_000);
  const last = watched(open, 12_000);
  assert.deepEqual(kinds(last), ['resume-pools']);
  assert.deepEqual(codes(last), ['pools-paused-too-long']);
  // The next master is at it: its after_command may take its time.
  assert.deepEqual(kinds(watched(row({ state: 'handing-over' }, 4), 5000)), []);
  // It knows the request no longer, or never got it.
  assert.deepEqual(kinds(watched(row(null, 4), 5000)), ['resume-pools']);
});
