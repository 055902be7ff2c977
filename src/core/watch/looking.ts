/** Looking at the others all the while: in the rhythm of the heartbeat, and once more before a silent master's session there ends. */

import { lastLookAt } from '../lease-trace.js';
import { heartbeatMs, observe } from '../links.js';
import type { Keeper, Link } from '../state.js';
import { due, type Turn } from '../turn.js';

export function watchVoter(k: Keeper, turn: Turn, link: Link): void {
  observe(k, turn, link, heartbeatMs(k));
  const lastLook = lastLookAt(k, link);
  if (lastLook !== null && due(k, turn, lastLook)) observe(k, turn, link, 0);
}
