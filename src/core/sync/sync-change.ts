/** Walks one step of the synchronous set on a running master, phase by phase (see sync-plan.ts for why it is safe). */

import { observe, ownLink } from '../links.js';
import type { Lsn } from '../lsn.js';
import type { Master, SyncChange, Wish } from '../master-state.js';
import type { Arrived, Keeper } from '../state.js';
import { note, send, type Turn, wake } from '../turn.js';
import { holdNames } from '../types.js';
import { tellWitnesses } from '../votes/witness.js';
import { awaitFlush, flushedBy, hadItsTime, isEstablished } from './established.js';
import { describeSync, namesFor, type SyncStep, syncRowOf } from './sync-plan.js';

/** Under hold commits wait: a change that does not get through in this time is abandoned, the old names come back. */
const holdBoundMs = 3000;
/** Pause after a change that was abandoned, so that writes get their turn. */
const abandonPauseMs = 5000;

export function startSyncChange(k: Keeper, turn: Turn, master: Master, step: SyncStep): void {
  const current = syncRowOf(registryOf(k));
  note(k, turn, 'sync-change', {
    from: describeSync(current),
    to: describeSync(step.target),
    path: step.path,
  });
  master.change = {
    target: step.target,
    path: step.path,
    phase: step.path === 'under-hold' ? 'hold' : 'write',
    since: k.now,
    lsn: null,
    sent: false,
  };
}

function registryOf(k: Keeper) {
  if (k.registry === null) throw new Error('invariant: a master has a registry');
  return k.registry;
}

function enter(change: SyncChange, phase: SyncChange['phase']): void {
  change.phase = phase;
  change.sent = false;
}

function abandon(k: Keeper, turn: Turn, master: Master, why: string): void {
  const { change } = master;
  if (change === null) return;
  note(k, turn, 'sync-change-abandoned', { phase: change.phase, why });
  master.change = null;
  master.changeAfter = k.now + abandonPauseMs;
}

/** Does what the present phase needs. Every phase either sends one command or waits for a look at the own server. */
export function walkSyncChange(k: Keeper, turn: Turn, master: Master, wish: Wish): void {
  const { change } = master;
  if (change === null) return;
  const link = ownLink(k);
  const beforeWrite = change.phase === 'hold' || change.phase === 'prove' || change.phase === 'flush';
  if (beforeWrite && k.now - change.since > holdBoundMs)
    return abandon(k, turn, master, `not through in ${holdBoundMs} ms`);
  if (beforeWrite) wake(k, turn, change.since + holdBoundMs + 1);
  if (change.phase === 'hold' && !change.sent) {
    change.sent = send(k, turn, link, { kind: 'set-names', names: holdNames });
  } else if (change.phase === 'prove' && !change.sent) {
    change.sent = send(k, turn, link, { kind: 'prove-hold' });
  } else if (change.phase === 'flush') {
    flushPhase(k, turn, change);
  } else if (change.phase === 'write' && !change.sent) {
    change.sent = send(k, turn, link, { kind: 'write-sync', sync: change.target });
  } else if (change.phase === 'establish' && change.lsn !== null) {
    const row = registryOf(k);
    if (mayBeKept(k, change, change.lsn)) tellWitnesses(k, turn, row);
    if (!isEstablished(k, change.lsn, change.since, row)) {
      observe(k, turn, link, 5, awaitFlush(k, change.lsn, change.target));
      return;
    }
    enter(change, 'apply');
    walkSyncChange(k, turn, master, wish);
  } else if (change.phase === 'apply' && !change.sent) {
    change.sent = send(k, turn, link, { kind: 'set-names', names: namesFor(change.target, wish.method) });
  }
}

/** The row that switches sync off comes to whoever streams first, as every row does while it is off. */
function mayBeKept(k: Keeper, { target, since }: SyncChange, lsn: Lsn): boolean {
  return target.wished > 0 || hadItsTime(k, lsn, since, holdBoundMs);
}

/** L = the flush position read after the hold was proven; k members of the new R must have it. */
function flushPhase(k: Keeper, turn: Turn, change: SyncChange): void {
  const link = ownLink(k);
  observe(k, turn, link, 5);
  if (link.obs === null || link.obsAt < change.since) return;
  if (change.lsn === null) {
    change.lsn = link.obs.received;
  }
  const flushed = flushedBy(k, change.lsn);
  if (change.target.members.filter((name) => flushed.has(name)).length >= change.target.needed)
    enter(change, 'write');
}

/** Takes in the answer to this change's own command. */
export function ingestSyncChange(k: Keeper, turn: Turn, master: Master, arrived: Arrived): void {
  const { change } = master;
  if (change === null) return;
  const { command, answer } = arrived;
  if (change.phase === 'hold' && command.kind === 'set-names') enter(change, 'prove');
  else if (change.phase === 'prove' && answer.kind === 'proven') {
    if (answer.proven) {
      change.since = k.now;
      enter(change, 'flush');
    } else change.sent = false;
  } else if (change.phase === 'write' && answer.kind === 'written') {
    enter(change, 'establish');
    change.lsn = answer.lsn;
    change.since = k.now;
  } else if (change.phase === 'apply' && command.kind === 'set-names') {
    note(k, turn, 'sync-changed', {
      to: describeSync(change.target),
      tookMs: Math.round(k.now - change.since),
    });
    master.change = null;
  }
}
