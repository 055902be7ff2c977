/**
 * Sync off: who fought for an epoch since the last row may have been promoted, and acknowledges at once. Its votes may be
 * free on their voters' side while it still believes in them (reset connections), so its lease is waited for like a
 * master's. With sync wished it acknowledges nothing before its row is on a majority, and that row is seen.
 */

import { linkOf, votersOf } from '../links.js';
import type { Arrived, Election, Keeper } from '../state.js';
import { due, note, type Turn } from '../turn.js';
import { failoverTimeMs, type Registry, type Voter } from '../types.js';
import { ballotOf } from '../votes/ballot.js';
import { heldVoters, isGivenUpBy, missedUntil } from '../votes/lease.js';
import { watchVoters } from '../watch/looking.js';
import { enterPhase, holdMeanwhile, isFresh } from './election-round.js';

/** The votes are kept meanwhile: who believed in them before was renewed there for the last time before they were granted. */
export function awaitRivals(k: Keeper, turn: Turn, e: Election): boolean {
  const until = rivalsEndAt(k, e);
  e.rivalsUntil = until;
  if ((k.registry?.syncWished ?? 0) > 0) return false;
  if (k.now >= until) {
    if (!e.sent.has('rivals')) return false;
    // What was looked at before the wait says nothing any more.
    e.startedAt = k.now;
    enterPhase(k, e, 'freeze');
    return true;
  }
  if (!e.sent.has('rivals')) {
    e.sent.add('rivals');
    const first = rivals(k, e).map(({ name }) => name);
    note(k, turn, 'election-rivals', { rivals: first.join(', '), waitMs: Math.round(until - k.now) });
  }
  return isWaiting(k, turn, e, until);
}

/** The row in force says that sync is off, and what was known before was older: the rivals of that time are waited for now. */
export function awaitLateRivals(k: Keeper, turn: Turn, e: Election, row: Registry): boolean {
  if (row.syncWished > 0 || k.now >= e.rivalsUntil) return false;
  return isWaiting(k, turn, e, e.rivalsUntil);
}

/** Everybody is looked at meanwhile, and the votes are kept. */
function isWaiting(k: Keeper, turn: Turn, e: Election, until: number): boolean {
  if (e.cause === 'claim') holdMeanwhile(k, turn);
  watchVoters(k, turn);
  return !due(k, turn, until);
}

/**
 * The ballot of this election is on that voter. One that was sent and not answered may have got lost: then what is seen there later is
 * of somebody who fought for the same epoch.
 */
export function ingestBallot(k: Keeper, e: Election, { voter, command, answer }: Arrived): void {
  const link = linkOf(k, voter);
  if (link === undefined || answer.kind === 'busy' || e.epoch === 0) return;
  const isPointed = command.kind === 'follow' && ballotOf(command.conninfo) === e.epoch;
  if (isPointed || (command.kind === 'write-witness' && command.ballot === e.epoch)) link.foughtFor = e.epoch;
}

/** A held voter shows a ballot above every row that is not this worker's own: somebody fought for that epoch. */
function wasFoughtFor(k: Keeper): boolean {
  const epoch = k.registry?.epoch ?? 0;
  return heldVoters(k).some(({ name }) => {
    const link = linkOf(k, name);
    return link?.obs != null && link.obs.ballot > epoch && link.obs.ballot !== link.foughtFor;
  });
}

/** Nodes that may have been promoted: neither held in recovery, when they cannot be any more, nor known to have lost the votes. */
function rivals(k: Keeper, e: Election): readonly Voter[] {
  const held = new Set(heldVoters(k).map(({ name }) => name));
  return votersOf(k).filter(({ kind, name }) => {
    if (kind !== 'node' || name === k.settings.name || isGivenUpBy(k, name)) return false;
    const link = linkOf(k, name);
    return !(held.has(name) && link !== undefined && isFresh(e, link) && link.obs?.inRecovery === true);
  });
}

function rivalsEndAt(k: Keeper, e: Election): number {
  const never = Number.NEGATIVE_INFINITY;
  if (!wasFoughtFor(k)) return never;
  const votes = heldVoters(k).map(({ name }) => linkOf(k, name)?.vote ?? null);
  const granted = Math.max(...votes.map((vote) => (vote === null ? never : vote.grantedAt + vote.ttlMs)));
  const ends = rivals(k, e).map(({ name }) => {
    const seenAt = Math.max(
      linkOf(k, name)?.lastAlive ?? never,
      k.workersSeenAt.get(name) ?? never,
      missedUntil(k),
    );
    return seenAt + failoverTimeMs(k.settings);
  });
  return ends.reduce((latest, end) => Math.max(latest, Math.min(granted, end)), never);
}
