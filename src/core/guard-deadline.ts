/**
 * Until when the own server may go on if nothing more is heard of this worker. The guard, a process of its own, ends the
 * server then: a worker that was killed or hangs cannot do it any more.
 */
import { hasLease, leaseUntil } from './lease.js';
import { ownLink } from './links.js';
import type { Keeper } from './state.js';
import { failoverTimeMs, leaseMarginMs } from './types.js';

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
  const syncWished = (registry?.syncWished ?? 0) > 0;
  const graceMs = (registry?.syncNeeded ?? 0) > 0 ? failoverTimeMs(k.settings) - k.settings.leaseTtlMs : 0;
  const endAt = (at: number, proven: boolean): GuardOrder => ({
    kind: 'end-at',
    at: at + slackMs,
    syncWished,
    proven,
  });
  switch (role.kind) {
    case 'master':
      return endAt(leaseUntil(k) + graceMs, true);
    case 'electing': {
      const mayBeWritable =
        role.cause === 'claim' || role.sent.has('promote') || ownLink(k).obs?.inRecovery === false;
      if (!mayBeWritable) return { kind: 'stand-down' };
      if (role.giveUpAt !== null) return endAt(role.giveUpAt, false);
      // A claim without an end waits under hold: nothing is acknowledged, and others are copied from this server.
      return role.cause === 'claim' ? { kind: 'stand-down' } : endAt(leaseUntil(k) + graceMs, true);
    }
    case 'down': {
      // Once it was retired it can come back as a standby only, and its recovery may take longer than any deadline.
      const isRetired = role.server === 'retired' || role.server === 'starting' || role.server === 'crashed';
      if (!role.wasMaster || isRetired) return { kind: 'stand-down' };
      const atLatest = role.since + failoverTimeMs(k.settings);
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
