/**
 * The operator's word on a cluster without a master: `pgkeeper failover`. The worker of the chosen node finds it on its own
 * server, as a lock that the operator's session holds, and heeds it as long as it is held. Stands at once, and, if the loss
 * is accepted, goes on without what is not there: acknowledged commits that only lost members have, and a lost majority.
 */

import { linkOf, ownLink, votersOf } from '../links.js';
import type { Arrived, Keeper } from '../state.js';
import { due, isIdle, note, send, type Turn } from '../turn.js';
import { failoverTimeMs, type Registry, type Voter } from '../types.js';
import { neededVotes } from '../votes/lease.js';
import { startElection } from './election-round.js';

const readEveryMs = 1000;
/** A word that was not heard again for so long was taken back. */
const validMs = 2500;

/** Asks for the word while nobody is master; true when it has begun an election. */
export function heedOperator(k: Keeper, turn: Turn, suspectAfter: number): boolean {
  const own = ownLink(k);
  if (due(k, turn, k.wordAskedAt + readEveryMs) && isIdle(own) && send(k, turn, own, { kind: 'read-word' }))
    k.wordAskedAt = k.now;
  const { word, registry } = k;
  if (word === null || k.now - word.heardAt > validMs || registry === null || k.now < suspectAfter)
    return false;
  const here = votersOf(k).filter((voter) => isHere(k, voter));
  const { acceptLoss } = word;
  const without = votersOf(k).filter((voter) => !here.includes(voter));
  const givesUp = acceptLoss && here.length < neededVotes(k);
  if (givesUp && !without.every((voter) => isSilent(k, turn, voter))) return false;
  note(k, turn, 'operator-failover', {
    acceptLoss,
    here: here.map(({ name }) => name).join(', '),
    without: without.map(({ name }) => name).join(', ') || 'nobody',
  });
  startElection(k, turn, 'failover', null, k.now);
  if (k.role.kind !== 'electing') return true;
  k.role.byOperator = true;
  k.role.lossAccepted = acceptLoss;
  if (givesUp) goOnWith(k, registry, here);
  return true;
}

function isHere(k: Keeper, voter: Voter): boolean {
  const link = linkOf(k, voter.name);
  return voter.name === k.settings.name || (link?.session === 'open' && link.obs !== null);
}

/** For T, tried all the while: a session that is just being opened, or was cut a moment ago, is no loss to accept. */
function isSilent(k: Keeper, turn: Turn, voter: Voter): boolean {
  const heardAt = Math.max(linkOf(k, voter.name)?.lastAlive ?? Number.NEGATIVE_INFINITY, k.startedAt);
  return due(k, turn, heardAt + failoverTimeMs(k.settings));
}

/** Believed by this worker alone, for this election alone, until the new epoch's row says so. */
function goOnWith(k: Keeper, registry: Registry, here: readonly Voter[]): void {
  const names = new Set(here.map(({ name }) => name));
  const forced = {
    ...registry,
    version: registry.version + 1,
    voters: here,
    nodes: registry.nodes.filter(({ name }) => names.has(name)),
  };
  k.forced = { before: registry, forced };
  k.registry = forced;
}

/** Whatever ended that election without a new epoch: the old voters count again. */
export function forgetForced(k: Keeper): void {
  if (k.forced === null) return;
  const { before, forced } = k.forced;
  if (k.registry === forced && k.role.kind === 'electing' && k.role.lossAccepted) return;
  if (k.registry === forced) k.registry = before;
  k.forced = null;
}

export function ingestWord(k: Keeper, { answer, voter }: Arrived): void {
  if (answer.kind !== 'word' || voter !== k.settings.name) return;
  k.word = answer.acceptLoss === null ? null : { acceptLoss: answer.acceptLoss, heardAt: k.now };
}
