/**
 * The one way to become master: at start, after a gap in the lease, after a failure. Here the phases are
 * put together: candidacy.ts, voting.ts, freeze.ts, catch-up.ts, promotion.ts.
 *
 *   gather -> vote -> freeze -> (fencing-command) -> promote -> epoch -> establish -> names -> master
 *                \-> catch-up -/            claim: no promote; with all votes and nothing newer: straight to master
 */

import type { KeeperEvent } from '../events.js';
import { ownLink } from '../links.js';
import { retire } from '../own-server/own-server.js';
import { isLeftAlone } from '../pause.js';
import type { Arrived, Election, Keeper, Link } from '../state.js';
import { due, note, type Turn } from '../turn.js';
import { releaseVotes } from '../votes/lease.js';
import { watchVoters } from '../watch/looking.js';
import { walkGather } from './candidacy.js';
import { walkCatchUp } from './catch-up.js';
import { failClaim, holdMeanwhile, isUndecided } from './election-round.js';
import { ingestFreeze, walkFreeze } from './freeze.js';
import { newPausedMaster } from './new-master.js';
import { ingestPromotion, walkPromotion } from './promotion.js';
import { ingestBallot } from './rivals.js';
import { walkVote } from './voting.js';

/** Phases follow one another within one step as far as they need no answer; more than this many would be a loop. */
const phasesPerStep = 8;

export function decideElection(k: Keeper, turn: Turn, e: Election): void {
  const own = ownLink(k);
  if ((own.session !== 'open' || hasAskedInVain(e, own)) && ownServerGone(k, turn, e, own)) return;
  if (e.giveUpAt !== null && isUndecided(e) && due(k, turn, e.giveUpAt)) {
    if (isLeftAlone(k)) {
      releaseVotes(k, turn);
      k.role = newPausedMaster(k);
      return;
    }
    return failClaim(k, turn, 'no majority of votes in time');
  }
  if (e.cause === 'claim' && isUndecided(e) && isHopeless(k, turn)) return;
  if (e.cause === 'claim' && e.round > 0 && isUndecided(e)) holdMeanwhile(k, turn);
  for (let i = 0; i < phasesPerStep; i++) {
    const before = e.phase;
    walkPhase(k, turn, e);
    if (k.role !== e) return;
    if (e.phase === before) break;
  }
  watchOthers(k, turn, e);
}

/**
 * What takes long (replay, a difference to stream, fencing_command) may come to nothing: then the next round must not take the voters
 * for unseen meanwhile, whose votes are held here all the while (lease-trace.ts).
 */
function watchOthers(k: Keeper, turn: Turn, e: Election): void {
  if (e.phase !== 'freeze' && e.phase !== 'catch-up' && e.phase !== 'fencing-command') return;
  watchVoters(k, turn);
}

function walkPhase(k: Keeper, turn: Turn, e: Election): void {
  switch (e.phase) {
    case 'gather':
      return walkGather(k, turn, e);
    case 'vote':
      return walkVote(k, turn, e);
    case 'catch-up':
      return walkCatchUp(k, turn, e);
    case 'freeze':
      return walkFreeze(k, turn, e);
    default:
      return walkPromotion(k, turn, e);
  }
}

/**
 * One look at a server that knows a newer master decides a claim, whatever it waits for: with sync off its server
 * acknowledges beside that one until then. So the others are looked at all the while, also between two rounds.
 */
function isHopeless(k: Keeper, turn: Turn): boolean {
  watchVoters(k, turn);
  const { registry } = k;
  if (registry === null || registry.master === k.settings.name) return false;
  failClaim(k, turn, `${registry.master ?? 'nobody'} is master of epoch ${registry.epoch}`);
  return true;
}

/** Its own vote ran out while a write took long: the session is another one, and nobody answers what was asked on the one before. */
function hasAskedInVain(e: Election, own: Link): boolean {
  const writes = e.phase === 'epoch' || e.phase === 'establish' || e.phase === 'names';
  return writes && own.openedAt > e.phaseAt;
}

/**
 * The own server died under the election, or only its session. After pg_promote was sent the only way is fencing. A server
 * that may be writable keeps its votes until it is dead, like a master's.
 */
function ownServerGone(k: Keeper, turn: Turn, e: Election, own: Link): boolean {
  // Ended by this worker itself, to give a vote back.
  if (own.failure === null && own.session !== 'open') return true;
  const mayBeWritable =
    e.cause === 'claim' ||
    e.sent.has('promote') ||
    e.phase === 'epoch' ||
    e.phase === 'establish' ||
    e.phase === 'names';
  const why =
    own.failure === null ? 'its own vote ran out' : `the own server ended the session (${own.detail})`;
  note(k, turn, 'election-aborted', { why });
  if (!mayBeWritable) releaseVotes(k, turn);
  k.brokenElections += 1;
  k.role = {
    kind: 'down',
    wasMaster: mayBeWritable,
    since: k.now,
    server: 'unknown',
    retryAt: k.now,
    tries: 0,
  };
  if (e.sent.has('promote')) retire(k, turn);
  else turn.effects.push({ kind: 'inspect-server' });
  return true;
}

export function ingestElection(
  k: Keeper,
  turn: Turn,
  e: Election,
  event: KeeperEvent,
  arrived: Arrived | null,
): void {
  if (arrived !== null && e.phase === 'freeze') ingestFreeze(e, arrived);
  if (arrived !== null) ingestBallot(k, e, arrived);
  ingestPromotion(k, turn, e, event, arrived);
}
