/**
 * A switchover on the master's side, up to the stop of its server: read the request, check, checkpoint, pause the
 * PgBouncers, put "handing-over" into the row and see the target have it. Until then everything can be broken off, and nothing has changed. What follows is handover-stop.ts.
 */

import type { RequestState } from '../effects.js';
import type { KeeperEvent } from '../events.js';
import { observe, ownLink, seenSince } from '../links.js';
import type { Handover, Master } from '../master-state.js';
import { openRequest } from '../plan.js';
import type { Arrived, Keeper } from '../state.js';
import { isEstablished } from '../sync/established.js';
import { due, isIdle, note, send, type Turn } from '../turn.js';
import type { Observation, OpenRequest, Registry } from '../types.js';
import { enterHandover } from './handover-stop.js';
import { isAtRest, judgeRequest, looked, problemOf } from './handover-target.js';
import { namesPools, pausePools, resumePools } from './pools.js';

/** How long a request waits for other changes to end, and for the looks it is judged by. */
const checkBoundMs = 10_000;
/** A checkpoint of a large server takes minutes; it is no part of the outage. */
const checkpointBoundMs = 1_800_000;
/** PAUSE has a deadline of its own; after it what was paused is resumed. */
const pauseSlackMs = 10_000;
/** Whoever still does not answer is asked on, and the request is ended. */
const resumeBoundMs = 15_000;
/** The target must have the row that names it, or it will not have the rest soon. */
const reachBoundMs = 5000;

/** True while nothing else may be changed: the server is about to stop. */
export function decideHandover(k: Keeper, turn: Turn, m: Master, obs: Observation): boolean {
  // Also what this worker has just written itself, which the last look does not show yet.
  const { registry } = k;
  const request = openRequest(registry);
  if (registry === null || registry.master !== k.settings.name) return false;
  if (m.handover === null) {
    if (request === null) return false;
    m.handover = newHandover(k, request);
    if (request.state !== 'asked') conclude(k, turn, m.handover, request, registry);
  }
  const h = m.handover;
  // Somebody has ended it in the table.
  if (request === null || request.id !== h.request) {
    if (k.poolsPaused !== null) resumePools(k, turn);
    m.handover = null;
    return false;
  }
  switch (h.phase) {
    case 'check':
      decideCheck(k, turn, m, h, request, registry, obs);
      return false;
    case 'accept':
      if (!h.sent) h.sent = write(k, turn, h, 'running', `taken up by ${k.settings.name}`);
      return false;
    case 'checkpoint':
      if (h.sent) {
        if (due(k, turn, h.since + checkpointBoundMs)) fail(k, turn, h, 'the checkpoint does not end');
        return false;
      }
      h.sent = true;
      turn.effects.push({ kind: 'checkpoint-own', deadlineMs: checkpointBoundMs });
      return false;
    case 'pause':
      decidePause(k, turn, m, h, registry);
      return false;
    case 'mark':
      return decideMark(k, turn, m, h, registry, obs);
    case 'reach':
      return decideReach(k, turn, h, registry, obs);
    case 'resume':
      decideResume(k, turn, m, h);
      return false;
    case 'tell':
      if (!h.sent && h.outcome !== null) h.sent = write(k, turn, h, h.outcome.state, h.outcome.reason);
      return false;
  }
}

function newHandover(k: Keeper, request: OpenRequest): Handover {
  const { id, target } = request;
  return { request: id, target, phase: 'check', since: k.now, sent: false, lsn: null, outcome: null };
}

function enter(k: Keeper, h: Handover, phase: Handover['phase']): void {
  h.phase = phase;
  h.since = k.now;
  h.sent = false;
}

function write(k: Keeper, turn: Turn, h: Handover, state: RequestState, reason: string): boolean {
  const { request: id, target } = h;
  const epoch = k.registry?.epoch ?? 0;
  return send(k, turn, ownLink(k), { kind: 'write-request', id, state, target, reason, epoch });
}

function end(k: Keeper, h: Handover, state: RequestState, reason: string): void {
  h.outcome = { state, reason };
  enter(k, h, k.poolsPaused === null ? 'tell' : 'resume');
}

function fail(k: Keeper, turn: Turn, h: Handover, why: string): void {
  note(k, turn, 'switchover-failed', { request: h.request, target: h.target ?? '-', why });
  end(k, h, 'failed', why);
}

/** Left over from before this worker was master, or before it was started: clients may be paused for it. */
function conclude(k: Keeper, turn: Turn, h: Handover, request: OpenRequest, registry: Registry): void {
  judgeLeftover(k, turn, h, request, registry);
  if (namesPools(k)) enter(k, h, 'resume');
}

function judgeLeftover(k: Keeper, turn: Turn, h: Handover, request: OpenRequest, registry: Registry): void {
  const { name } = k.settings;
  if (request.state === 'handing-over' && request.target === name && registry.epoch > request.epoch) {
    note(k, turn, 'switchover-done', { request: request.id, target: name, epoch: registry.epoch });
    return end(k, h, 'done', `${name} is master of epoch ${registry.epoch}`);
  }
  const why =
    request.state === 'handing-over'
      ? `${k.handoverTrouble ?? `${request.target} did not take over`}; ${name} is master of epoch ${registry.epoch}`
      : `it was broken off: ${name} is master of epoch ${registry.epoch}, its worker was started anew meanwhile`;
  k.handoverTrouble = null;
  fail(k, turn, h, why);
}

function decideCheck(
  k: Keeper,
  turn: Turn,
  m: Master,
  h: Handover,
  request: OpenRequest,
  registry: Registry,
  obs: Observation,
): void {
  const late = due(k, turn, h.since + checkBoundMs);
  const verdict = judgeRequest(k, turn, m, request, registry, obs, h.since, late);
  if (verdict.kind === 'wait') return;
  if (verdict.kind === 'refused') {
    note(k, turn, 'switchover-refused', { request: h.request, why: verdict.why });
    return end(k, h, 'refused', verdict.why);
  }
  h.target = verdict.target;
  note(k, turn, 'switchover-started', { request: h.request, target: verdict.target });
  enter(k, h, 'accept');
}

/**
 * Clients wait from here on: nothing that can be waited for before is waited for in the pause. And a majority has the row of the
 * request, so that every next master knows that there is something to resume.
 */
function decidePause(k: Keeper, turn: Turn, m: Master, h: Handover, registry: Registry): void {
  if (!namesPools(k)) return enter(k, h, 'mark');
  if (h.sent) {
    if (due(k, turn, h.since + k.settings.poolPauseMs + pauseSlackMs))
      fail(k, turn, h, 'PgBouncer: no answer to PAUSE');
    return;
  }
  if (!isAtRest(m, registry)) {
    if (due(k, turn, h.since + checkBoundMs)) fail(k, turn, h, 'another change of the registry does not end');
    return;
  }
  h.sent = true;
  pausePools(k, turn, h.request);
}

/** after_command first: it may be what tells PgBouncer where the master is. */
function decideResume(k: Keeper, turn: Turn, m: Master, h: Handover): void {
  if (m.commandRuns) return;
  if (!h.sent) {
    h.sent = true;
    h.since = k.now;
    resumePools(k, turn);
  }
  if (due(k, turn, h.since + resumeBoundMs)) enter(k, h, 'tell');
}

/** The last moment to say no: everything is judged once more, then the row is written that gives the place away. */
function decideMark(
  k: Keeper,
  turn: Turn,
  m: Master,
  h: Handover,
  registry: Registry,
  obs: Observation,
): boolean {
  const { target } = h;
  if (target === null) return false;
  if (h.sent) return true;
  if (due(k, turn, h.since + checkBoundMs)) {
    fail(k, turn, h, 'another change of the registry does not end');
    return false;
  }
  if (m.change !== null || m.pending !== null || !looked(k, turn, h.since, [target])) return false;
  if (!seenSince(ownLink(k), h.since)) {
    observe(k, turn, ownLink(k), 0);
    return false;
  }
  const problem = problemOf(k, registry, obs, target);
  if (problem !== null) {
    fail(k, turn, h, problem);
    return false;
  }
  h.sent = write(k, turn, h, 'handing-over', `${k.settings.name} is about to stop`);
  return true;
}

/** On the target and on a majority: whoever elects now knows whose turn it is. Then the server stops. */
function decideReach(k: Keeper, turn: Turn, h: Handover, registry: Registry, obs: Observation): boolean {
  const { lsn, target } = h;
  if (lsn === null || target === null) return false;
  const row = obs.replication.find(({ name, state }) => name === target && state === 'streaming');
  const reached = row?.flushLsn != null && row.flushLsn >= lsn && isEstablished(k, lsn, h.since, registry);
  if (reached) {
    note(k, turn, 'handing-over', { target, lag: Number(obs.received - (row?.flushLsn ?? obs.received)) });
    enterHandover(k, turn, target);
    return true;
  }
  if (due(k, turn, h.since + reachBoundMs)) {
    fail(k, turn, h, `${target} did not get the row that names it within ${reachBoundMs} ms`);
    return false;
  }
  if (isIdle(ownLink(k)))
    send(k, turn, ownLink(k), { kind: 'observe', wait: { kind: 'flushed', lsn, count: 1 } });
  return true;
}

export function ingestHandover(
  k: Keeper,
  turn: Turn,
  m: Master,
  event: KeeperEvent,
  arrived: Arrived | null,
): void {
  const h = m.handover;
  if (h === null) return;
  if (event.kind === 'own-checkpoint' && h.phase === 'checkpoint') {
    if (event.ok) enter(k, h, 'pause');
    else fail(k, turn, h, `the checkpoint failed: ${event.detail}`);
  }
  if (event.kind === 'pools-paused' && h.phase === 'pause' && h.sent) {
    if (!event.ok) return fail(k, turn, h, event.detail);
    note(k, turn, 'pools-paused', { tookMs: Math.round(k.now - h.since) });
    enter(k, h, 'mark');
  }
  if (event.kind === 'pools-resumed' && h.phase === 'resume' && h.sent) enter(k, h, 'tell');
  if (arrived === null || arrived.voter !== k.settings.name || arrived.command.kind !== 'write-request')
    return;
  if (arrived.answer.kind === 'busy') {
    h.sent = false;
    return;
  }
  if (arrived.answer.kind !== 'written') return;
  if (h.phase === 'accept') enter(k, h, 'checkpoint');
  else if (h.phase === 'mark') {
    enter(k, h, 'reach');
    h.lsn = arrived.answer.lsn;
  } else if (h.phase === 'tell') m.handover = null;
}
