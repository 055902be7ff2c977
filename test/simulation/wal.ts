/**
 * Write-ahead logs as physical histories. A branch is what one server wrote in one reign; its parent is what it forked
 * from. Timeline *numbers* are a property of branches: two branches may carry the same number, and PostgreSQL then sees
 * no difference. Servers are positions (branch, end). Positions are plain numbers here, Lsn only towards the core.
 */
import type { Registry } from '../../src/core/types.js';

/** The registry row as one WAL record wrote it. */
export interface RowRecord {
  readonly id: number;
  readonly branch: Branch;
  readonly lsn: number;
  readonly row: Registry;
  /** A row that its writer had from a witness and took over; null = its own WAL had the newest. */
  readonly basis: Registry | null;
  readonly flushedBy: Set<string>;
  established: boolean;
}

export class Branch {
  readonly id: number;
  readonly tli: number;
  readonly parent: Branch | null;
  readonly forkLsn: number;
  readonly writer: string;
  /** End of what was ever flushed on this branch. */
  tip: number;
  readonly rows: RowRecord[] = [];
  /** Highest acknowledged commit on this branch. */
  acked = 0;

  constructor(id: number, tli: number, parent: Branch | null, forkLsn: number, writer: string) {
    this.id = id;
    this.tli = tli;
    this.parent = parent;
    this.forkLsn = forkLsn;
    this.writer = writer;
    this.tip = forkLsn;
  }

  toString(): string {
    return `tli ${this.tli} of ${this.writer}`;
  }
}

/** Does the history of (branch, end) hold the position (other, lsn)? */
export function holds(branch: Branch, end: number, other: Branch, lsn: number): boolean {
  let wanted = other;
  while (lsn <= wanted.forkLsn && wanted.parent !== null) wanted = wanted.parent;
  let limit = end;
  for (let at: Branch | null = branch; at !== null; at = at.parent) {
    if (at === wanted) return lsn <= limit;
    limit = Math.min(limit, at.forkLsn);
  }
  return false;
}

/** The branch on which position `lsn` of this history lies. */
export function branchAt(branch: Branch, lsn: number): Branch {
  let at = branch;
  while (lsn <= at.forkLsn && at.parent !== null) at = at.parent;
  return at;
}

/** How far two histories are physically the same. */
export function commonEnd(a: Branch, aEnd: number, b: Branch, bEnd: number): number {
  const ends = new Map<Branch, number>();
  let limit = aEnd;
  for (let at: Branch | null = a; at !== null; at = at.parent) {
    ends.set(at, limit);
    limit = Math.min(limit, at.forkLsn);
  }
  limit = bEnd;
  for (let at: Branch | null = b; at !== null; at = at.parent) {
    const other = ends.get(at);
    if (other !== undefined) return Math.min(other, limit);
    limit = Math.min(limit, at.forkLsn);
  }
  return 0;
}

/** The newest registry row in a history up to `end`. */
export function rowAt(branch: Branch, end: number): RowRecord | null {
  let limit = end;
  for (let at: Branch | null = branch; at !== null; at = at.parent) {
    for (let i = at.rows.length - 1; i >= 0; i--) {
      const record = at.rows[i];
      if (record !== undefined && record.lsn <= limit) return record;
    }
    limit = Math.min(limit, at.forkLsn);
  }
  return null;
}

interface Stretch {
  readonly tli: number;
  end: number;
}

/** History as PostgreSQL knows it: numbers and switch points, oldest first. */
function numbersOf(branch: Branch, end: number): readonly Stretch[] {
  const stretches: Stretch[] = [];
  let limit = end;
  for (let at: Branch | null = branch; at !== null; at = at.parent) {
    if (stretches[0]?.tli !== at.tli) stretches.unshift({ tli: at.tli, end: limit });
    limit = Math.min(limit, at.forkLsn);
  }
  return stretches;
}

/** Where two histories part by their numbers: what pg_rewind and walsenders believe. */
export function commonEndByNumbers(a: Branch, aEnd: number, b: Branch, bEnd: number): number {
  const ours = numbersOf(a, aEnd);
  const theirs = numbersOf(b, bEnd);
  let common = 0;
  for (let i = 0; i < ours.length && i < theirs.length; i++) {
    const one = ours[i] as Stretch;
    const two = theirs[i] as Stretch;
    if (one.tli !== two.tli) break;
    common = Math.min(one.end, two.end);
    if (one.end !== two.end) break;
  }
  return common;
}

/** End of timeline `tli` in that history by its numbers; null = not in it. */
export function endOfTimeline(branch: Branch, end: number, tli: number): number | null {
  return numbersOf(branch, end).find((stretch) => stretch.tli === tli)?.end ?? null;
}
