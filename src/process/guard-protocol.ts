/** What worker and guard say to each other: one JSON line an order, times of the machine's monotonic clock. */
import { createHash } from 'node:crypto';
import { realpathSync } from 'node:fs';
import type { GuardOrder } from '../core/guard-deadline.js';

/** Abstract socket of the guard of a data directory. */
export function guardSocket(dataDirectory: string): string {
  const key = createHash('sha256').update(realpathSync(dataDirectory)).digest('hex').slice(0, 32);
  return `\0pgkeeper-guard-${key}`;
}

export type GuardMessage =
  | { readonly kind: 'end-at'; readonly atNs: bigint; readonly syncWished: boolean; readonly proven: boolean }
  | { readonly kind: 'stand-down' };

/** `nowMs`: the worker's performance.now(), whose zero is its own start; the guard knows CLOCK_MONOTONIC only. */
export function encodeOrder(order: GuardOrder, nowMs: number): string {
  if (order.kind !== 'end-at') return `${JSON.stringify({ kind: 'stand-down' })}\n`;
  const leftMs = Number.isFinite(order.at) ? order.at - nowMs : 0;
  const atNs = process.hrtime.bigint() + BigInt(Math.round(leftMs * 1e6));
  return `${JSON.stringify({ kind: 'end-at', atNs: String(atNs), syncWished: order.syncWished, proven: order.proven })}\n`;
}

/** Null for what no worker of this version says. */
export function decodeOrder(line: string): GuardMessage | null {
  try {
    const { kind, atNs, syncWished, proven } = JSON.parse(line) as Record<string, unknown>;
    if (kind === 'stand-down') return { kind };
    return kind === 'end-at' && typeof atNs === 'string'
      ? { kind, atNs: BigInt(atNs), syncWished: syncWished === true, proven: proven === true }
      : null;
  } catch {
    return null;
  }
}
