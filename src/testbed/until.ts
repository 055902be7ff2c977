/** Waiting for what comes in its own time. */
import { setTimeout as delay } from 'node:timers/promises';

/** Waits until `look` gives a value; its last error or `what` is in the failure. */
export async function until<T>(
  what: string,
  look: () => T | null | undefined | false | Promise<T | null | undefined | false>,
  boundMs = 30_000,
  everyMs = 50,
): Promise<T> {
  const end = performance.now() + boundMs;
  let last = '';
  for (;;) {
    try {
      const value = await look();
      if (value !== null && value !== undefined && value !== false) return value;
    } catch (error) {
      last = error instanceof Error ? `: ${error.message}` : '';
    }
    if (performance.now() > end) throw new Error(`waited ${boundMs} ms in vain until ${what}${last}`);
    await delay(everyMs);
  }
}
