/** Looking at the others all the while: in the rhythm of the heartbeat, and once more before a silent master's session there ends. */

import { lastLookAt } from '../lease-trace.js';
import { heartbeatMs, observe } from '../links.js';
import type { Keeper, Link } from '../state.js';
import { due, type Turn } from '../turn.js';

/** `except`: the own link of a worker whose server is down. */
export function watchVoters(k: Keeper, turn: Turn, except: Link | null = null): void {
  const everyMs = heartbeatMs(k);
  for (const link of k.links.values()) {
    if (link === except) continue;
    observe(k, turn, link, everyMs);
    const lastLook = lastLookAt(k, link);
    if (lastLook !== null && due(k, turn, lastLook)) observe(k, turn, link, 0);
  }
}
