/**
 * A paused cluster: what a worker leaves undone. Nobody is promoted by the row (plan.ts); here is the other half, that a master is not
 * fenced. It may go on without its lease only because no election gets past a pause that is on a majority (SPEC.md, 8 (n)), and
 * a pause ends by the hand of a master that holds the lease.
 */

import { ownLink, votersOf } from './links.js';
import type { Master } from './master-state.js';
import { isPauseEstablished, pauseOf } from './plan.js';
import type { Keeper } from './state.js';
import { note, send, type Turn } from './turn.js';
import { hasLease, heldVoters, neededVotes } from './votes/lease.js';

/** Once a turn: since when there is a pause, and whether an operator ended it here. */
export function trackPause(k: Keeper, turn: Turn): void {
  const { registry } = k;
  if (registry === null || pauseOf(registry) === null) {
    if (k.saidPaused) note(k, turn, 'cluster-resumed');
    k.pausedAt = null;
    k.overruledIn = null;
    k.saidPaused = false;
    return;
  }
  const { epoch, version } = registry;
  if (k.pausedAt?.epoch !== epoch) k.pausedAt = { epoch, version, established: false };
  k.pausedAt.established = isPauseEstablished(k, neededVotes(k));
  if (!k.saidPaused) {
    k.saidPaused = true;
    note(k, turn, 'cluster-paused');
  }
  const { obs } = ownLink(k);
  if (obs?.overruled === true && k.overruledIn !== epoch) {
    k.overruledIn = epoch;
    note(k, turn, 'pause-overruled');
  }
}

/** This node is the master of a pause that every election meets: neither a lapse nor a crash changes that. */
export function isLeftAlone(k: Keeper): boolean {
  return (
    k.pausedAt !== null && k.registry?.master === k.settings.name && isPauseEstablished(k, neededVotes(k))
  );
}

/** The lease is gone: true = this master goes on all the same. */
export function goesOnPaused(k: Keeper, turn: Turn, m: Master): boolean {
  if (!isLeftAlone(k)) return false;
  if (m.lapsedAt === null) {
    m.lapsedAt = k.now;
    const held = heldVoters(k).length;
    note(k, turn, 'lease-lapsed-paused', { held, voters: votersOf(k).length, needed: neededVotes(k) });
  }
  return true;
}

/** Asked for by resume(), or by the operator whose word this master was elected by. */
export function endPause(k: Keeper, turn: Turn): void {
  const { registry } = k;
  const pause = pauseOf(registry);
  if (registry === null || pause === null || !hasLease(k)) return;
  const overruled = k.overruledIn !== null && k.overruledIn < registry.epoch;
  if (pause === 'ending' || overruled) send(k, turn, ownLink(k), { kind: 'end-pause' });
}
