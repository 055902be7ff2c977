/** The few bytes of global/pg_control that tell how a server ended. The layout of this part is the same in 14 to 18. */
import { join } from 'node:path';
import { bytesAt } from './bytes-at.js';

/** enum DBState of catalog/pg_control.h, in its order. */
const states = [
  'starting',
  'shut-down',
  'shut-down-in-recovery',
  'shutting-down',
  'crash-recovery',
  'archive-recovery',
  'in-production',
] as const;

export interface ControlFile {
  readonly systemIdentifier: string;
  readonly state: (typeof states)[number];
  /** Where the latest checkpoint record begins; after a clean end the last record there is. */
  readonly checkpoint: bigint;
  /** Of the last checkpoint. */
  readonly timeline: number;
}

/** Throws where the file is missing or says what no known server writes. */
export function readControlFile(dataDirectory: string): ControlFile {
  const bytes = bytesAt(join(dataDirectory, 'global', 'pg_control'), 0, 52);
  const state = states[bytes.readUInt32LE(16)];
  if (state === undefined) throw new Error(`${dataDirectory}/global/pg_control holds an unknown state`);
  // 8 system identifier, 4 + 4 versions, 4 state (+ 4), 8 time, then the position; its redo position, then its timeline.
  return {
    systemIdentifier: bytes.readBigUInt64LE(0).toString(),
    state,
    checkpoint: bytes.readBigUInt64LE(32),
    timeline: bytes.readUInt32LE(48),
  };
}

export function isCleanEnd(state: ControlFile['state']): boolean {
  return state === 'shut-down' || state === 'shut-down-in-recovery';
}
