/**
 * One turn of the keeper: what it asks for, why, and when it wants to be woken. Also the two or three things every
 * transition needs (send a command, note a reason, draw a random pause). Decides nothing itself.
 */
import type { Command, Effect } from './effects.js';
import type { ReasonCode, ReasonRecord, ReasonValue } from './reasons.js';
import type { Keeper, Link } from './state.js';
import { leaseMarginMs, pollDeadlineMs } from './types.js';

export interface Turn {
  readonly effects: Effect[];
  readonly reasons: ReasonRecord[];
  /** Monotonic time of the next wake; Infinity = none wished. */
  wakeAt: number;
}

export function newTurn(): Turn {
  return { effects: [], reasons: [], wakeAt: Number.POSITIVE_INFINITY };
}

/** Asks to be woken at `at` at the latest. Past times mean "soon", never "now": a turn cannot spin. */
export function wake(k: Keeper, turn: Turn, at: number): void {
  turn.wakeAt = Math.min(turn.wakeAt, Math.max(at, k.now + 1));
}

/** True when `at` has come; else asks to be woken then. */
export function due(k: Keeper, turn: Turn, at: number): boolean {
  if (k.now >= at) return true;
  wake(k, turn, at);
  return false;
}

export function note(
  k: Keeper,
  turn: Turn,
  code: ReasonCode,
  details: Readonly<Record<string, ReasonValue>> = {},
): void {
  const again = isSaidAgain(k, code);
  const record: ReasonRecord = { code, at: k.now, epoch: k.registry?.epoch ?? 0, details, again };
  turn.reasons.push(record);
  if (again) return;
  k.journal.push(record);
  // The journal waits for a master that takes writes; an outage of hours must not fill the memory.
  if (k.journal.length > 200) k.journal.shift();
}

/** What a standby decides in each round of an outage, some times a second. */
const recurring: ReadonlySet<ReasonCode> = new Set<ReasonCode>([
  'master-suspected',
  'master-crashed',
  'master-seen-by-peer',
  'election-started',
  'election-first',
  'election-waits',
  'election-aborted',
  'election-blocked',
  'election-left-behind',
  'no-majority',
  'votes-held',
  'votes-refused',
  'peer-ahead',
  'newer-master',
]);
const saidInFull = 3;
const saidEveryMs = 30_000;
const forgottenAfterMs = 60_000;

/** Decided in each round of an outage, and told in full a few times only. */
export function isRecurring(code: ReasonCode): boolean {
  return recurring.has(code);
}

/** The first rounds of an outage are told in full, then one in half a minute. */
function isSaidAgain(k: Keeper, code: ReasonCode): boolean {
  if (!isRecurring(code)) return false;
  const before = k.said.get(code);
  const isNew = before === undefined || k.now - before.at > forgottenAfterMs;
  const said = isNew
    ? { at: k.now, toldAt: k.now, count: 1 }
    : { ...before, at: k.now, count: before.count + 1 };
  const again = said.count > saidInFull && k.now - said.toldAt < saidEveryMs;
  k.said.set(code, again ? said : { ...said, toldAt: k.now });
  return again;
}

export function isIdle(link: Link): boolean {
  return link.session === 'open' && link.busy === null;
}

/** Deadline of a command that changes something: ALTER SYSTEM and commits wait for disks. */
const changeDeadlineMs = 3000;
const slowCommands: ReadonlySet<Command['kind']> = new Set<Command['kind']>([
  'follow',
  'shorten-retry',
  'reset-retry',
  'clear-fence',
  'set-names',
  'end-sessions',
  'resume-replay',
  'promote',
  'prove-hold',
  'write-epoch',
  'write-sync',
  'write-voters',
  'write-flags',
  'write-witness',
  'write-request',
  'end-pause',
  'read-wish',
  'report',
]);

/** Sends a command on a voter's session when that is idle. */
export function send(k: Keeper, turn: Turn, link: Link, command: Command): boolean {
  if (!isIdle(link)) return false;
  const id = k.nextId++;
  // A master gives no vote up for a silence while it is good: the answer to what was sent may still come and renew it.
  const patienceMs =
    k.role.kind === 'master' && link.vote !== null
      ? link.vote.renewedAt + link.vote.ttlMs - 2 * leaseMarginMs(k.settings) - k.now
      : 0;
  link.busy = { id, command, sentAt: k.now };
  turn.effects.push({
    kind: 'command',
    voter: link.voter,
    id,
    command,
    deadlineMs: slowCommands.has(command.kind)
      ? Math.min(changeDeadlineMs, Math.max(k.settings.leaseTtlMs / 2, pollDeadlineMs(k.settings)))
      : // A lock or a slow disk under the own server is no reason to drop its session and with it a vote.
        link.voter === k.settings.name
        ? Math.max(pollDeadlineMs(k.settings), k.settings.leaseTtlMs / 2)
        : Math.max(pollDeadlineMs(k.settings), patienceMs),
  });
  return true;
}

/** Uniform in [from, to); xorshift32, so that a run repeats from its seed. */
export function randomBetween(k: Keeper, from: number, to: number): number {
  let x = k.random;
  x ^= x << 13;
  x ^= x >>> 17;
  x ^= x << 5;
  k.random = x >>> 0;
  return from + ((x >>> 0) / 0x1_0000_0000) * (to - from);
}
