/** Second phase of an election: a majority of the votes, the own one included, or nothing. */

import { linkOf, masterLink, observe, ownLink, seenSince, votersOf } from '../links.js';
import { isHandedTo } from '../plan.js';
import { mustBeRemade } from '../ranking.js';
import type { Election, Keeper } from '../state.js';
import { due, note, randomBetween, type Turn } from '../turn.js';
import { failoverTimeMs, type Voter } from '../types.js';
import { heldVoters, isForced, isGivenUpBy, missedUntil, neededVotes, tryVotes } from '../votes/lease.js';
import { abandon, enterPhase, isFresh } from './election-round.js';

/** How long to try for votes that a dying worker is about to give back. */
const voteBoundMs = 400;
/** A stop takes longer than a crash, and the votes come when it is over. */
const handedVoteBoundMs = 3000;
const handedPauseMs = 100;

export function walkVote(k: Keeper, turn: Turn, e: Election): void {
  const voters = votersOf(k);
  const claim = e.cause === 'claim';
  // Waiting under hold for nodes that are to be copied from here: their votes are left to their own workers.
  const patient = claim && e.giveUpAt === null;
  const asked = voters.filter((voter) => !patient || !isLeftToItsWorker(k, voter));
  tryVotes(k, turn, asked, claim ? 50 : 8);
  const needed = neededVotes(k);
  const held = heldVoters(k);
  // The looks that the freeze needs, while the other votes are still on their way.
  for (const voter of held) {
    const link = linkOf(k, voter.name);
    if (link !== undefined && !isFresh(e, link)) observe(k, turn, link, 0);
  }
  const tookMs = Math.round(k.now - e.phaseAt);
  const ownHeld = held.some((voter) => voter.name === k.settings.name);
  if (ownHeld && held.length >= needed) {
    const undecided = asked.filter((voter) => {
      const link = linkOf(k, voter.name);
      return (
        link !== undefined && link.session === 'open' && link.vote === null && link.refusedAt < e.phaseAt
      );
    });
    if (undecided.length > 0 && !due(k, turn, e.phaseAt + 100)) return;
    note(k, turn, 'votes-held', { held: held.length, voters: voters.length, needed, tookMs });
    if (awaitLease(k, turn, e)) return;
    return enterPhase(k, e, 'freeze');
  }
  const boundMs = isHandedTo(k.registry, k.settings.name) ? handedVoteBoundMs : voteBoundMs;
  if (due(k, turn, e.phaseAt + boundMs)) {
    const pauseMs = Math.round(randomBetween(k, 50, 250));
    if (e.round < 2) note(k, turn, 'votes-refused', { held: held.length, needed, tookMs, pauseMs });
    abandon(k, turn, e, pauseMs);
  }
}

/**
 * True when the former master's lease may still run: tried again when it cannot any more. Judged by the newest row known; where that
 * said that sync is in effect, once more when the row in force is known, which may be the one that ended it.
 */
export function awaitLease(k: Keeper, turn: Turn, e: Election): boolean {
  if (e.leaseIsOver) return false;
  const silentAt = leaseEndsAt(k, e);
  if (k.now < silentAt) {
    // A master that hands over tells by its sessions that it has let go; one of them may just be missing.
    const handed = isHandedTo(k.registry, k.settings.name);
    const what = handed ? 'asking again' : 'waiting for T';
    note(k, turn, 'election-aborted', { why: `the lease of ${e.oldMaster} may still run; ${what}` });
    abandon(k, turn, e, handed ? Math.min(handedPauseMs, silentAt - k.now) : silentAt - k.now);
    return true;
  }
  e.leaseIsOver = k.registry?.syncNeeded === 0;
  return false;
}

/**
 * It is to be copied from here, and its worker takes its vote for that. One that was counted in a later election waits for the
 * outcome of that one, which may wait for this server: it leaves when this one has fought for an epoch above its ballot.
 */
function isLeftToItsWorker(k: Keeper, { name }: Voter): boolean {
  const obs = linkOf(k, name)?.obs;
  const ours = ownLink(k).obs;
  if (name === k.settings.name || !obs || ours === null) return false;
  return mustBeRemade(obs, ours) && obs.ballot <= (ours.registry?.epoch ?? 0);
}

/** The former master: seen as a standby, or known to have given up its votes. */
export function hasLetGo(k: Keeper, e: Election, oldMaster: string): boolean {
  // By a look of this round: what it was before says nothing of a server that was promoted since.
  const link = masterLink(k);
  const isStandby = link !== undefined && seenSince(link, e.startedAt) && link.obs?.inRecovery === true;
  return isStandby || isGivenUpBy(k, oldMaster);
}

/**
 * With sync on, what the former master acknowledges needs nodes that follow this one by then. With sync off only its
 * lease stops it, and that may run until T (> ttl) after anybody last saw it, unless it is known to have given it up. A
 * worker that was frozen or cut off does not know when that was: the master may have been at work until it looked again.
 */
function leaseEndsAt(k: Keeper, e: Election): number {
  const { registry } = k;
  const never = Number.NEGATIVE_INFINITY;
  if (e.oldMaster === null || e.oldMaster === k.settings.name || registry === null) return never;
  if (e.cause === 'claim' || registry.syncNeeded > 0 || hasLetGo(k, e, e.oldMaster)) return never;
  // Given up by an operator's word, it is no voter any more: that it was silent for T was asked before.
  const lastAlive = masterLink(k)?.lastAlive ?? (isForced(k) ? never : k.now);
  return Math.max(lastAlive, k.seenByPeerAt, missedUntil(k)) + failoverTimeMs(k.settings);
}
