/** Monotonic and wall time, apart: monotonic for every decision, wall for display and to notice a sleeping machine. */
import { uptime } from 'node:os';
import type { Clock } from '../ports.js';

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  bootMs: () => uptime() * 1000,
  wakeAt: (atMs, callback) => {
    // setTimeout counts in whole ms and may fire a little early: rounded up, so that a wake is never before its time.
    const timer = setTimeout(callback, Math.max(0, Math.ceil(atMs - performance.now())));
    return () => clearTimeout(timer);
  },
};
