/**
 * What must hold, whatever happens. Checkers see everything at once, as no worker can. They judge effects on servers
 * (what was acknowledged, what is on which disk), never what the core believes.
 *
 *   S1 no two servers acknowledge writes in overlapping time      S4 C subset of R, k_r <= k_c, and every acknowledged commit on k_r of R
 *   S2 no acknowledged commit missing while sync is on            S5 histories never merge silently
 *   S3 established registry changes stay                          (L1, and L2 at the end: run.ts)
 */

import { isSameName } from '../../src/core/sync/standby-names.js';
import type { Registry } from '../../src/core/types.js';
import type { WalSender } from './replication.js';
import type { Server } from './server.js';
import type { ServerWatcher } from './surroundings.js';
import { type Branch, branchAt, holds, type RowRecord, rowAt } from './wal.js';
import type { World } from './world.js';

export interface Violation {
  readonly rule: string;
  readonly at: number;
  readonly what: string;
}

/** Things the protocol states as limits; the composition knows whether one of them explains what was seen. */
export interface Excuses {
  /** Two nodes without a witness: neither guarantee is kept. */
  readonly noGuarantees: boolean;
  /** Sync off, and neither the worker nor the guard of that server could act just now (SPEC section 9). */
  asyncPause(server: Server): boolean;
}

interface Reign {
  readonly server: Server;
  readonly branch: Branch;
  firstAt: number;
  lastAt: number;
  count: number;
  /** All of it under a stated limit: whoever acknowledges next is not to blame for it. */
  excused: boolean;
}

export class Checkers implements ServerWatcher {
  readonly violations: Violation[] = [];
  /** Ends the run with the first violation. */
  stopAtFirst = false;
  /** Nothing is wrong but what a cluster must bear: the master stays (L2). */
  steady = false;
  readonly reigns: Reign[] = [];
  /** Losses the user's wish (sync off) allows, and overlaps stated as limits. */
  allowedLosses = 0;
  allowedOverlaps = 0;
  promotions = 0;
  /** Newest row known to be on a majority. */
  established: RowRecord | null = null;
  /** When the first row of its epoch was. */
  #establishedSince = 0;
  lastAcknowledged = Number.NEGATIVE_INFINITY;
  acknowledgements = 0;
  /** Longest time without an acknowledgement. */
  longestGap = 0;
  readonly #world: World;
  readonly #excuses: Excuses;
  readonly #acked = new Set<Branch>();
  readonly #recordOf = new WeakMap<Registry, RowRecord>();

  readonly #serverNamed: (name: string) => Server | undefined;

  constructor(world: World, excuses: Excuses, serverNamed: (name: string) => Server | undefined) {
    this.#world = world;
    this.#excuses = excuses;
    this.#serverNamed = serverNamed;
  }

  violate(rule: string, what: string): void {
    this.#world.say('!!', `${rule}: ${what}`);
    if (this.stopAtFirst) this.#world.halted = true;
    if (this.violations.length < 20) this.violations.push({ rule, at: this.#world.now, what });
  }

  // ---- rows on disks ----

  flushed(server: Server): void {
    if (server.kind !== 'node') return;
    let limit = server.end;
    for (let at: Branch | null = server.branch; at !== null; at = at.parent) {
      for (let i = at.rows.length - 1; i >= 0; i--) {
        const record = at.rows[i];
        if (record === undefined || record.lsn > limit) continue;
        if (record.flushedBy.has(server.name)) return;
        record.flushedBy.add(server.name);
        this.#judgeEstablished(record);
      }
      limit = Math.min(limit, at.forkLsn);
    }
  }

  #judgeEstablished(record: RowRecord): void {
    if (record.established) return;
    const { voters } = record.row;
    const have = voters.filter((voter) => record.flushedBy.has(voter.name)).length;
    if (have < Math.floor(voters.length / 2) + 1) return;
    record.established = true;
    const newest = this.established;
    if (newest === null || isNewer(record.row, newest.row)) {
      if (newest !== null && !this.#includes(record.branch, record.lsn, newest))
        this.#rule(
          'S3',
          `row ${rowName(record.row)} was established without ${rowName(newest.row)} in its history`,
        );
      if (newest !== null && record.row.epoch > newest.row.epoch) {
        const basis = rowAt(record.branch, record.lsn - 1)?.row;
        const wished = newest.row.syncWished > 0 && (basis?.syncWished ?? 0) > 0;
        // Degraded, the claiming server may not hold its commits yet: what it acknowledged after its row follows it.
        const end = Math.max(record.lsn, record.branch.acked);
        this.#noCommitMissing(record.branch, end, wished, `in epoch ${record.row.epoch}`);
      }
      if (record.row.epoch !== newest?.row.epoch) this.#establishedSince = this.#world.now;
      this.established = record;
    } else if (!this.#includes(newest.branch, newest.lsn, record)) {
      this.#rule('S3', `row ${rowName(record.row)} was established beside ${rowName(newest.row)}`);
    }
  }

  /** A witness has the row alone, without the WAL before it. */
  kept(server: Server, row: Registry): void {
    const record = this.#recordOf.get(row);
    if (record === undefined) return;
    record.flushedBy.add(server.name);
    this.#judgeEstablished(record);
  }

  /** In that history, or taken over into it from a witness. */
  #includes(branch: Branch, end: number, wanted: RowRecord): boolean {
    if (holds(branch, end, wanted.branch, wanted.lsn)) return true;
    let limit = end;
    for (let at: Branch | null = branch; at !== null; at = at.parent) {
      for (const { lsn, basis } of at.rows) {
        if (basis === null || lsn > limit) continue;
        const taken = this.#recordOf.get(basis);
        if (taken !== undefined && this.#includes(taken.branch, taken.lsn, wanted)) return true;
      }
      limit = Math.min(limit, at.forkLsn);
    }
    return false;
  }

  rowWritten(server: Server): void {
    const record = server.branch.rows.at(-1);
    if (record !== undefined) this.#recordOf.set(record.row, record);
    this.#holdsMembers(server, server.branch.acked, 'when a row was written');
  }

  // ---- acknowledgements ----

  acknowledged(server: Server, lsn: number, by: WalSender | null): void {
    const branch = branchAt(server.branch, lsn);
    const { now } = this.#world;
    if (Number.isFinite(this.lastAcknowledged))
      this.longestGap = Math.max(this.longestGap, now - this.lastAcknowledged);
    this.lastAcknowledged = now;
    this.acknowledgements += 1;
    const newest = this.established;
    if (
      newest !== null &&
      this.#excuses.asyncPause(server) &&
      !this.#includes(server.branch, server.end, newest)
    ) {
      this.allowedOverlaps += 1;
      return;
    }
    const last = this.reigns.at(-1);
    if (last !== undefined && last.branch === branch) {
      last.lastAt = now;
      last.excused &&= this.#excuses.asyncPause(server);
      last.count += 1;
    } else if (!this.#newReign(server, branch, lsn)) return;
    branch.acked = Math.max(branch.acked, lsn);
    this.#acked.add(branch);
    this.#settingHolds(server, by);
    this.#holdsMembers(server, lsn, 'when it was acknowledged');
  }

  /** False when what was acknowledged counts for nothing: a stated limit explains it. */
  #newReign(server: Server, branch: Branch, lsn: number): boolean {
    const { now } = this.#world;
    const earlier = this.reigns.find((reign) => reign.branch === branch);
    const present = this.reigns.at(-1);
    // An answer that was on its way, maybe the first of its server, which was frozen before: the commit is in the history that the
    // present reign began with, nothing is acknowledged beside it.
    if (present !== undefined && holds(present.branch, Number.POSITIVE_INFINITY, branch, lsn)) return true;
    if (earlier !== undefined && !this.#isMasterAgain(server, present)) {
      if (this.#excuses.asyncPause(server)) {
        this.allowedOverlaps += 1;
        return false;
      }
      if (present?.excused === true) {
        this.allowedOverlaps += 1;
        this.reigns.pop();
        return true;
      }
      this.#rule(
        'S1',
        `${server.name} (${branch}) acknowledged ${lsn} after ${present?.server.name} (${present?.branch}) had begun to at ${present?.firstAt.toFixed(0)}`,
      );
      return true;
    }
    this.#nothingMissing(server, `when ${server.name} began to acknowledge`);
    const excused = this.#excuses.asyncPause(server);
    this.reigns.push({ server, branch, firstAt: now, lastAt: now, count: 1, excused });
    return true;
  }

  /** It kept its history, but got a new epoch when the present reign had acknowledged its last. */
  #isMasterAgain(server: Server, present: Reign | undefined): boolean {
    const row = this.established?.row;
    return row?.master === server.name && present !== undefined && present.lastAt < this.#establishedSince;
  }

  /** A switchover loses nothing, whatever the wish: the votes are given to a node that has every acknowledged commit. */
  handedOver(from: Server, to: Server | undefined): void {
    const { branch } = from;
    if (to === undefined || holds(to.branch, to.end, branch, branch.acked)) return;
    this.#rule('S2', `${from.name} hands over to ${to.name}, which has not its commit ${branch.acked}`);
  }

  promoted(server: Server): void {
    this.promotions += 1;
    if (this.steady) this.#rule('L2', `${server.name} was promoted without a cause`);
  }

  /** S2 and S3 for one server that acts as master. */
  #nothingMissing(server: Server, when: string): void {
    const basis = rowAt(server.branch, server.end)?.row ?? null;
    const wished = (this.established?.row.syncWished ?? 0) > 0 && (basis?.syncWished ?? 0) > 0;
    this.#noCommitMissing(server.branch, server.end, wished, `on ${server.name} ${when}`);
    const row = this.established;
    if (row !== null && !this.#includes(server.branch, server.end, row))
      this.#rule('S3', `established row ${rowName(row.row)} is missing on ${server.name} ${when}`);
  }

  /** Every acknowledged commit is in this history, or the user wished no sync when it was lost. */
  #noCommitMissing(branch: Branch, end: number, wished: boolean, where: string): void {
    for (const other of this.#acked) {
      if (other.acked === 0 || holds(branch, end, other, other.acked)) continue;
      if (wished) this.#rule('S2', `commit ${other.acked} of ${other} is missing ${where}`);
      else this.allowedLosses += 1;
      other.acked = 0;
    }
  }

  /** Rows an election could judge by: the newest established one and every later one of this history. */
  #rowsInForce(server: Server): readonly Registry[] {
    const newest = this.established;
    const rows: Registry[] = [];
    let limit = server.end;
    for (let at: Branch | null = server.branch; at !== null; at = at.parent) {
      for (let i = at.rows.length - 1; i >= 0; i--) {
        const record = at.rows[i];
        if (record === undefined || record.lsn > limit) continue;
        rows.push(record.row);
        if (
          record === newest ||
          (record.basis !== null && newest !== null && this.#includes(at, record.lsn, newest))
        )
          return rows;
      }
      limit = Math.min(limit, at.forkLsn);
    }
    // A history without the newest established row is no basis for anybody (S3 says so where it matters).
    return newest === null ? rows : [];
  }

  /** S4 in effect: every commit acknowledged so far is on at least k_r members of R. */
  #holdsMembers(server: Server, lsn: number, when: string): void {
    if (lsn === 0) return;
    const { branch } = server;
    for (const row of this.#rowsInForce(server)) {
      if (row.syncWished === 0 || row.syncNeeded === 0) continue;
      const have = row.syncMembers.filter((name) => {
        const member = this.#serverNamed(name);
        return member !== undefined && holds(member.branch, member.end, branch, lsn);
      });
      if (have.length >= row.syncNeeded) continue;
      this.#rule(
        'S4',
        `commit ${lsn} on ${server.name} is on ${have.length} of {${row.syncMembers.join(', ')}}, row ${rowName(row)} needs ${row.syncNeeded}, ${when}`,
      );
      return;
    }
  }

  /** S4 in words: C is a subset of R, k_r <= k_c, by the process that let the commit go. */
  #settingHolds(server: Server, by: WalSender | null): void {
    const newest = this.established?.row;
    if (newest === undefined || newest.syncWished === 0 || newest.syncNeeded === 0) return;
    if (this.established === null || !this.#includes(server.branch, server.end, this.established)) return;
    if (by === null && !server.waitingOn)
      this.#rule(
        'S4',
        `${server.name} acknowledged without waiting, row ${rowName(newest)} needs ${newest.syncNeeded}`,
      );
    if (by === null) return;
    const { needed, names } = by.setting;
    const outside = names.filter((name) => !newest.syncMembers.some((member) => isSameName(member, name)));
    if (needed < newest.syncNeeded || outside.length > 0) {
      this.#rule(
        'S4',
        `walsender of ${by.name} let a commit go by ${needed} (${names.join(', ')}), row ${rowName(newest)} says ${newest.syncNeeded} of {${newest.syncMembers.join(', ')}}`,
      );
    }
  }

  merged(server: Server, why: string): void {
    const row = this.established?.row;
    const managed =
      row === undefined || [...row.nodes, ...row.voters].some(({ name }) => name === server.name);
    // A removed node runs on as it is; nobody looks after it.
    if (managed) this.#rule('S5', why);
  }

  /** At the end: the present master holds everything, and every node's history is part of the master's. */
  atEnd(master: Server): void {
    this.#nothingMissing(master, 'at the end');
  }

  #rule(rule: string, what: string): void {
    if (this.#excuses.noGuarantees) return;
    this.violate(rule, what);
  }
}

function isNewer(a: Registry, b: Registry): boolean {
  return a.epoch > b.epoch || (a.epoch === b.epoch && a.version > b.version);
}

function rowName(row: Registry): string {
  return `(epoch ${row.epoch}, version ${row.version})`;
}
