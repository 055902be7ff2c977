/**
 * The second half of a switchover: the own server stops cleanly, the target shows that it has everything, the files are marked, the
 * votes go. The votes are held until then, so whatever fails before the mark ends with this server started again as the master it
 * was; after the mark there is an election like any other.
 */

import type { KeeperEvent } from '../events.js';
import { endSession, linkOf, observe, ownLink, seenSince } from '../links.js';
import { formatLsn } from '../lsn.js';
import type { Keeper, Role } from '../state.js';
import { due, note, type Turn, wake } from '../turn.js';
import { failoverTimeMs } from '../types.js';
import { hasLease } from '../votes/lease.js';

type Down = Extract<Role, { kind: 'down' }>;

/** Half of T for the stop, a quarter for the answer of the target: the last quarter is for the start in case it goes wrong. */
const stopShare = 0.5;
const verifyShare = 0.25;

export function enterHandover(k: Keeper, turn: Turn, target: string): void {
  k.role = {
    kind: 'down',
    wasMaster: true,
    since: k.now,
    server: 'stopping',
    retryAt: k.now,
    tries: 0,
    handover: { target, end: null, phaseAt: k.now },
  };
  turn.effects.push({ kind: 'stop-server', deadlineMs: stopShare * failoverTimeMs(k.settings) });
}

export function isHandingOver(role: Down): boolean {
  return role.server === 'stopping' || role.server === 'verifying' || role.server === 'resuming';
}

/** What is to be done with the server when nothing more can be hoped for; own-server.ts does it. */
export type HandoverStep = 'wait' | 'retire' | 'back';

export function decideHandoverStop(k: Keeper, turn: Turn, role: Down): HandoverStep {
  const { handover } = role;
  if (handover === undefined) return 'retire';
  // Without the lease, or after T, others may stand: this server must be no master any more.
  if (!hasLease(k) || due(k, turn, role.since + failoverTimeMs(k.settings))) return 'retire';
  if (role.server === 'resuming') return untilWritable(k, turn, handover.phaseAt);
  if (role.server === 'stopping') return 'wait';
  const link = linkOf(k, handover.target);
  const { end } = handover;
  if (link === undefined || end === null) return breakOff(k, turn, role, 'the target is gone');
  const shown = seenSince(link, handover.phaseAt) ? link.obs : null;
  if (shown !== null && !shown.inRecovery) return 'retire';
  if (shown !== null && shown.received > end) {
    note(k, turn, 'handed-over', { target: handover.target, end: formatLsn(end) });
    k.yields = {
      epoch: k.registry?.epoch ?? 0,
      target: handover.target,
      until: k.now + failoverTimeMs(k.settings),
    };
    return 'retire';
  }
  if (due(k, turn, handover.phaseAt + verifyShare * failoverTimeMs(k.settings)))
    return breakOff(
      k,
      turn,
      role,
      shown === null
        ? `${handover.target} does not answer`
        : `${handover.target} has ${formatLsn(shown.received)} only, the end is ${formatLsn(end)}`,
    );
  observe(k, turn, link, 3);
  wake(k, turn, k.now + 3);
  return 'wait';
}

/** Who else started it meanwhile has a standby there: this worker's own start ends that one first. */
function untilWritable(k: Keeper, turn: Turn, since: number): HandoverStep {
  const own = ownLink(k);
  if (own.session !== 'open' || own.openedAt < since) return 'wait';
  if (seenSince(own, since) && own.obs?.inRecovery === false) return 'back';
  observe(k, turn, own, 3);
  wake(k, turn, k.now + 3);
  return 'wait';
}

/** Nothing is marked and every vote is held: it is a restart by its administrator, which is no failure. */
function breakOff(k: Keeper, turn: Turn, role: Down, why: string): HandoverStep {
  const { handover } = role;
  if (handover === undefined) return 'retire';
  note(k, turn, 'handover-broken-off', { target: handover.target, why });
  k.handoverTrouble = why;
  endSession(k, turn, ownLink(k));
  role.server = 'resuming';
  handover.phaseAt = k.now;
  turn.effects.push({ kind: 'start-server', as: 'master' });
  return 'wait';
}

export function ingestHandoverStop(k: Keeper, turn: Turn, role: Down, event: KeeperEvent): HandoverStep {
  const { handover } = role;
  if (handover === undefined) return 'wait';
  if (event.kind === 'server-stopped' && role.server === 'stopping') {
    if (!event.ok || event.end === null) {
      return breakOff(k, turn, role, event.ok ? 'its end was not clean' : event.detail);
    }
    note(k, turn, 'handover-stopped', {
      target: handover.target,
      tookMs: Math.round(k.now - handover.phaseAt),
    });
    handover.end = event.end;
    handover.phaseAt = k.now;
    role.server = 'verifying';
    // Dead for certain, whether or not the news has come through the socket yet.
    endSession(k, turn, ownLink(k));
    return 'wait';
  }
  if (event.kind === 'server-started' && role.server === 'resuming' && !event.ok) return 'retire';
  if (event.kind === 'server-started' && role.server === 'resuming') {
    const own = ownLink(k);
    if (own.session === 'none') own.retryAt = k.now;
  }
  return 'wait';
}
