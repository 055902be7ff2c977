/**
 * Until when the own server may go on if nothing more is heard of this worker. The guard, a process of its own, ends the
 * server then: a worker that was killed or hangs cannot do it any more.
 */
import { isUndecided } from './election/election-round.js';
import { ownLink, votersOf } from './links.js';
import { silenceBoundMs } from './own-server/own-server.js';
import { isLeftAlone } from './pause.js';
import type { Election, Keeper } from './state.js';
import { failoverTimeMs, leaseMarginMs } from './types.js';
import { hasLease, leaseUntil } from './votes/lease.js';

export type GuardOrder =
  /** End the server at `at` (the worker's monotonic ms) unless told otherwise before. */
  | {
      readonly kind: 'end-at';
      readonly at: number;
      readonly syncWished: boolean;
      /** A lease stands behind it. What is only hoped for never moves an earlier deadline back. */
      readonly proven: boolean;
    }
  | { readonly kind: 'stand-down' }
  /** What was said last holds. */
  | { readonly kind: 'unchanged' };

/**
 * The worker acts first: the guard comes half a margin later, which leaves the other half for its work. While sync is in
 * effect no commit is acknowledged without standbys that follow, so a lapsed lease may be asked for again until T.
 */
export function guardOrder(k: Keeper): GuardOrder {
  const slackMs = leaseMarginMs(k.settings) / 2;
  const { role, registry } = k;
  // Alone in its cluster: nobody else can become master, so going on without a worker harms nobody.
  if (registry !== null && votersOf(k).length <= 1) return { kind: 'stand-down' };
  const syncWished = (registry?.syncWished ?? 0) > 0;
  const graceMs = (registry?.syncNeeded ?? 0) > 0 ? failoverTimeMs(k.settings) - k.settings.leaseTtlMs : 0;
  const endAt = (at: number, proven: boolean): GuardOrder => ({
    kind: 'end-at',
    at: at + slackMs,
    syncWished,
    proven,
  });
  // Nobody is promoted beside it, and the pause ends only by a worker that holds the lease and so arms the guard again.
  if ((role.kind === 'master' || (role.kind === 'down' && role.server === 'unknown')) && isLeftAlone(k))
    return { kind: 'stand-down' };
  // A frozen server whose worker dies: its votes are free at once, and others last saw the server before it froze.
  const silentUntil = ownLink(k).lastAlive + silenceBoundMs(k);
  switch (role.kind) {
    case 'master':
      return endAt(Math.min(leaseUntil(k) + graceMs, silentUntil), true);
    case 'electing': {
      const mayBeWritable =
        role.cause === 'claim' || role.sent.has('promote') || ownLink(k).obs?.inRecovery === false;
      if (!mayBeWritable) return { kind: 'stand-down' };
      if (role.giveUpAt !== null && isUndecided(role))
        return isNobodyElse(k, role, graceMs > 0)
          ? endAt(Math.min(role.giveUpAt, leaseUntil(k) + graceMs), true)
          : endAt(role.giveUpAt, false);
      // A claim without an end waits under hold: nothing is acknowledged, and others are copied from this server.
      // The hold ends with its last phase: the guard has to be there before that.
      const waits =
        role.cause === 'claim' &&
        role.giveUpAt === null &&
        role.phase !== 'establish' &&
        role.phase !== 'names';
      return waits ? { kind: 'stand-down' } : endAt(leaseUntil(k) + graceMs, true);
    }
    case 'down': {
      // Dead for certain and marked: it must be let start, however long its recovery takes.
      if (role.server === 'crashed' || role.server === 'retired' || role.server === 'starting')
        return { kind: 'stand-down' };
      // This worker never saw it answer: it may be a master that hangs, and the worker before knew more.
      if (!role.wasMaster) return { kind: 'unchanged' };
      const atLatest =
        role.server === 'unknown'
          ? Math.min(silentUntil, role.since + failoverTimeMs(k.settings))
          : role.since + failoverTimeMs(k.settings);
      return hasLease(k) ? endAt(Math.min(leaseUntil(k) + graceMs, atLatest), true) : endAt(atLatest, false);
    }
    case 'starting':
      return { kind: 'unchanged' };
    case 'standby':
    case 'rejoining':
    case 'idle':
      return { kind: 'stand-down' };
  }
}

/**
 * A claim that holds a majority again: nobody can be elected from now on, and what it holds is a lease like a master's.
 * Somebody may have been elected before, while the votes were free. With sync in effect that one has taken along the
 * standbys without which nothing is acknowledged here; else only looks with the votes in hand, by which the epoch to
 * fight for was chosen, show that nobody was.
 */
function isNobodyElse(k: Keeper, claim: Election, syncInEffect: boolean): boolean {
  if (!hasLease(k) || k.registry?.master !== k.settings.name) return false;
  return syncInEffect || claim.epoch > 0;
}
