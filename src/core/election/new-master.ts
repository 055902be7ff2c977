/** What a master knows when it has just become one. */

import type { Master } from '../master-state.js';
import type { Keeper } from '../state.js';

export function newMaster(k: Keeper, oldMaster: string | null, fileWish: string | null | undefined): Master {
  const streamingAt = new Map<string, number>();
  for (const name of k.registry?.syncMembers ?? []) streamingAt.set(name, k.now);
  return {
    kind: 'master',
    since: k.now,
    oldMaster,
    handover: null,
    commandRuns: false,
    lapsedAt: null,
    change: null,
    changeAfter: k.now,
    establishedVersion: -1,
    pending: null,
    writing: false,
    fileWish,
    wishText: fileWish === undefined ? null : (k.registry?.syncWish ?? null),
    appliedNames: null,
    refusedWish: null,
    wishedMembers: [],
    streamingAt,
    flushedTo: new Map(),
    wishAt: Number.NEGATIVE_INFINITY,
    flagsSent: '',
    heirs: null,
    probedAt: k.now,
    ownAliveAt: k.now,
    leaseUntil: k.now,
    async: false,
    fenceCleared: false,
    resolved: null,
  };
}

/** In a pause, without the lease: what it takes to go on as before. */
export function newPausedMaster(k: Keeper): Master {
  return { ...newMaster(k, null, undefined), lapsedAt: k.now };
}
