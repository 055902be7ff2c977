/** What worker and guard say to each other: one JSON line an order, times of the machine's monotonic clock. */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import type { GuardOrder } from '../../core/guard-deadline.js';
import { replaceFile } from '../configuration-change.js';

/**
 * Where worker and guard of a data directory meet, and the word by which they know each other: anybody on the host may
 * connect to an abstract socket, but only the owner of the data directory reads the file.
 */
export interface GuardMeeting {
  readonly socket: string;
  readonly secret: string;
}

export function guardMeeting(dataDirectory: string): GuardMeeting {
  const path = join(dataDirectory, 'pgkeeper.guard');
  if (!existsSync(path)) replaceFile(path, randomBytes(24).toString('hex'));
  const secret = readFileSync(path, 'utf8').trim();
  const key = createHash('sha256')
    .update(`${realpathSync(dataDirectory)} ${secret}`)
    .digest('hex')
    .slice(0, 32);
  return { socket: `\0pgkeeper-guard-${key}`, secret };
}

export type GuardMessage =
  | { readonly kind: 'end-at'; readonly atNs: bigint; readonly syncWished: boolean; readonly proven: boolean }
  | { readonly kind: 'stand-down' };

/** `nowMs`: the worker's performance.now(), whose zero is its own start; the guard knows CLOCK_MONOTONIC only. */
export function encodeOrder(order: GuardOrder, nowMs: number, secret: string): string {
  if (order.kind !== 'end-at') return `${JSON.stringify({ secret, kind: 'stand-down' })}\n`;
  const leftMs = Number.isFinite(order.at) ? order.at - nowMs : 0;
  const atNs = process.hrtime.bigint() + BigInt(Math.round(leftMs * 1e6));
  return `${JSON.stringify({ secret, kind: 'end-at', atNs: String(atNs), syncWished: order.syncWished, proven: order.proven })}\n`;
}

/** Null for what no worker of this version, or nobody who may, says. */
export function decodeOrder(line: string, secret: string): GuardMessage | null {
  try {
    const { kind, atNs, syncWished, proven, secret: said } = JSON.parse(line) as Record<string, unknown>;
    if (said !== secret) return null;
    if (kind === 'stand-down') return { kind };
    return kind === 'end-at' && typeof atNs === 'string'
      ? { kind, atNs: BigInt(atNs), syncWished: syncWished === true, proven: proven === true }
      : null;
  } catch {
    return null;
  }
}
