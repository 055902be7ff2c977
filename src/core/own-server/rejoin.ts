/** The own server is brought back to the master's history: tried anew after growing pauses, what it loses is told. */

import type { KeeperEvent, LostWal } from '../events.js';
import { linkOf, ownLink, voterNamed } from '../links.js';
import type { ReasonRecord } from '../reasons.js';
import type { Keeper, Link, Role } from '../state.js';
import { due, note, type Turn } from '../turn.js';
import { ballotText } from '../votes/ballot.js';
import { followConninfo } from '../watch/following.js';

type Rejoining = Extract<Role, { kind: 'rejoining' }>;

const longestPauseMs = 60_000;

/** 1, 2, 4 ... s, one minute at most. */
export function growingPauseMs(tries: number): number {
  return Math.min(longestPauseMs, 1000 * 2 ** Math.min(tries, 6));
}

/** The server was started by this worker: what was known of it is void, and the next attempt comes at once. */
export function lookAnew(k: Keeper): void {
  const link = ownLink(k);
  link.failure = null;
  link.obs = null;
  if (link.session === 'none') link.retryAt = k.now;
  k.role = { kind: 'starting' };
}

/** Brings the own server to the master's history. */
export function enterRejoin(
  k: Keeper,
  turn: Turn,
  source: Link,
  mode: 'rewind-or-copy' | 'copy',
  why: string,
): void {
  const master = voterNamed(k, source.voter);
  const self = voterNamed(k, k.settings.name);
  const ours = ownLink(k).obs;
  if (master === undefined || self === undefined) return;
  // A higher ballot than the master's epoch stays: it tells of an election this node was counted in.
  const ballot = Math.max(k.registry?.epoch ?? 0, ours === null ? 0 : ours.ballot);
  const follow = followConninfo(
    self,
    ours?.primaryConninfo ?? '',
    master,
    ballotText(ballot),
    source.obs?.primaryConninfo ?? '',
  );
  note(k, turn, 'rejoin-started', { master: source.voter, why, mode });
  k.role = {
    kind: 'rejoining',
    since: k.now,
    source: source.voter,
    pausedUntil: Number.POSITIVE_INFINITY,
    tries: k.rejoinTries,
  };
  turn.effects.push({ kind: 'rejoin-server', source: master.conninfo, mode, follow });
}

export function ingestRejoin(k: Keeper, turn: Turn, role: Rejoining, event: KeeperEvent): void {
  if (event.kind !== 'server-rejoined') return;
  noteLost(k, turn, event);
  if (event.ok) {
    // Counted until it streams: a rejoin that changes nothing must not be repeated without an end.
    k.rejoinTries += 1;
    note(k, turn, 'rejoined', { tookMs: Math.round(k.now - role.since), detail: event.detail });
    lookAnew(k);
    return;
  }
  k.rejoinTries += 1;
  const retryMs = growingPauseMs(k.rejoinTries);
  role.pausedUntil = k.now + retryMs;
  note(k, turn, 'rejoin-failed', { detail: event.detail, retryMs });
}

function noteLost(k: Keeper, turn: Turn, { lost }: Extract<KeeperEvent, { kind: 'server-rejoined' }>): void {
  if (!lost) return;
  const { code, details } = tellingOf(lost);
  note(k, turn, code, details);
}

/** What only this server had, as `events` tells it. */
export function tellingOf({
  from,
  to,
  commits,
  folder,
  why,
}: LostWal): Pick<ReasonRecord, 'code' | 'details'> {
  const part = { from, to, commits: commits ?? 'unknown', why };
  return folder === null
    ? { code: 'wal-thrown-away', details: part }
    : { code: 'wal-set-aside', details: { ...part, folder } };
}

/** After a failed rejoin the server is looked at anew; the growing pause has passed. */
export function decideRejoin(k: Keeper, turn: Turn, role: Rejoining): void {
  if (!Number.isFinite(role.pausedUntil) || !due(k, turn, role.pausedUntil)) return;
  if (linkOf(k, k.settings.name)?.session === 'open') k.role = { kind: 'starting' };
  else k.role = { kind: 'down', wasMaster: false, since: k.now, server: 'crashed', retryAt: k.now, tries: 0 };
}
