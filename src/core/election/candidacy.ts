/** First phase of an election: read everybody reachable, and find out whether this node goes first. */

import { linkOf, observe, ownLink, seenSince, votersOf } from '../links.js';
import { forbidsPromotion } from '../plan.js';
import { candidateOf, describeRanking, objectionTo, rank } from '../ranking.js';
import type { Election, Keeper } from '../state.js';
import { due, isIdle, note, randomBetween, send, type Turn } from '../turn.js';
import { pollDeadlineMs, type Registry } from '../types.js';
import { neededVotes, ownYouthMs } from '../votes/lease.js';
import { abandon, enterPhase, failClaim } from './election-round.js';

/** How long a lower-ranked candidate lets each better one go first: an undisturbed election takes about half of it. */
const rankDelayMs = 250;

/** Reads everybody reachable, then decides whether to go first. */
export function walkGather(k: Keeper, turn: Turn, e: Election): void {
  if (!due(k, turn, e.pauseUntil)) return;
  const voters = votersOf(k);
  let waiting = false;
  for (const voter of voters) {
    const link = linkOf(k, voter.name);
    if (link === undefined || seenSince(link, e.startedAt)) continue;
    if (link.session === 'open' && isIdle(link)) send(k, turn, link, { kind: 'observe' });
    if (link.session === 'open' || voter.name === k.settings.name) waiting = true;
  }
  if (waiting && !due(k, turn, e.phaseAt + pollDeadlineMs(k.settings))) return;
  const reachable = voters.filter((voter) => {
    const link = linkOf(k, voter.name);
    return link !== undefined && seenSince(link, e.startedAt);
  });
  const registry = k.registry;
  if (registry === null || !seenSince(ownLink(k), e.startedAt))
    return abandon(k, turn, e, randomBetween(k, 50, 150));
  // What made this an election was said of another master: that of the newer epoch is watched first.
  if (e.cause === 'failover' && registry.epoch !== e.baseEpoch) {
    note(k, turn, 'newer-master', { master: registry.master ?? 'nobody', epoch: registry.epoch });
    return abandon(k, turn, e, 0);
  }
  const needed = neededVotes(k);
  if (reachable.length < needed) {
    if (
      e.cause === 'claim' &&
      e.round === 0 &&
      isOpening(k) &&
      !due(k, turn, e.phaseAt + pollDeadlineMs(k.settings))
    )
      return;
    if (e.round === 0)
      note(k, turn, 'no-majority', { reachable: reachable.length, voters: voters.length, needed });
    return abandon(k, turn, e, randomBetween(k, 200, 500));
  }
  // Without the own vote there is nothing to win: the others' votes are left alone until then.
  const youthMs = ownYouthMs(k);
  if (youthMs > 0) return abandon(k, turn, e, youthMs);
  const other = writableElsewhere(k, e, registry);
  if (other !== null) return newerMaster(k, turn, e, other, registry);
  if (e.cause === 'failover' && forbidsPromotion(registry, k.settings.name, ownLink(k).obs)) {
    note(k, turn, 'election-aborted', { why: 'the cluster is paused' });
    return abandon(k, turn, e, k.settings.keepaliveTimeMs);
  }
  if (e.cause === 'failover' && !e.byOperator && !goesFirst(k, turn, e, registry)) return;
  enterPhase(k, e, 'vote');
}

/** A worker that has just started claims while its first sessions are on their way. */
function isOpening(k: Keeper): boolean {
  return votersOf(k).some(({ name }) => linkOf(k, name)?.session === 'opening');
}

/** Somebody else writable with the newest epoch (an older one does not count). */
function writableElsewhere(k: Keeper, e: Election, registry: Registry): string | null {
  for (const link of k.links.values()) {
    if (link.voter === k.settings.name || link.obs === null || !seenSince(link, e.startedAt)) continue;
    if (link.obs.inRecovery || link.obs.registry?.epoch !== registry.epoch) continue;
    if (registry.master === link.voter) return link.voter;
  }
  return null;
}

function newerMaster(k: Keeper, turn: Turn, e: Election, master: string, registry: Registry): void {
  if (e.cause === 'claim') return failClaim(k, turn, `${master} is master of epoch ${registry.epoch}`);
  note(k, turn, 'newer-master', { master, epoch: registry.epoch });
  abandon(k, turn, e, 0);
}

function ownObjection(k: Keeper, registry: Registry): string {
  const self = votersOf(k).find((voter) => voter.name === k.settings.name);
  const { obs } = ownLink(k);
  if (self === undefined || obs === null) return 'has no vote';
  return objectionTo(self, obs, registry) ?? 'was not looked at in this election';
}

/** True when no better candidate has to be waited for any longer. */
function goesFirst(k: Keeper, turn: Turn, e: Election, registry: Registry): boolean {
  const candidates = votersOf(k).flatMap((voter) => {
    const link = linkOf(k, voter.name);
    if (link?.obs === undefined || link.obs === null || !seenSince(link, e.startedAt)) return [];
    const candidate = candidateOf(voter, link.obs, registry);
    return candidate === null ? [] : [candidate];
  });
  const ranking = rank(candidates, registry.master === null ? null : preferredOf(registry));
  const place = ranking.findIndex((candidate) => candidate.name === k.settings.name);
  const text = describeRanking(ranking);
  if (place < 0) {
    note(k, turn, 'election-aborted', { why: `this node is no candidate: it ${ownObjection(k, registry)}` });
    abandon(k, turn, e, k.settings.keepaliveTimeMs);
    return false;
  }
  if (place === 0) {
    note(k, turn, 'election-first', { ranking: text });
    return true;
  }
  const waitMs = place * rankDelayMs;
  if (!e.sent.has('waited')) {
    e.sent.add('waited');
    note(k, turn, 'election-waits', { first: ranking[0]?.name ?? '-', waitMs, ranking: text });
  }
  // Looking again meanwhile: the better one may be master by then.
  if (due(k, turn, e.since + waitMs)) return true;
  for (const link of k.links.values()) observe(k, turn, link, 50);
  return false;
}

/** First of the wished names that is a node: the next master by the original's rule. */
function preferredOf(registry: Registry): string | null {
  return registry.syncMembers.find((name) => name !== registry.master) ?? null;
}
