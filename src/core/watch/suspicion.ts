/**
 * Is the master gone? Own polls, definite evidence of a crash, and what the others see. Three-valued throughout: no
 * answer counts neither way.
 */

import { parseConninfo } from '../conninfo.js';
import { linkOf, masterLink, observe, ownLink, seenSince, voterNamed, votersOf } from '../links.js';
import { remembering } from '../recent.js';
import type { Arrived, Keeper, Link, Role, Suspicion } from '../state.js';
import { due, note, type Turn, wake } from '../turn.js';
import { failoverTimeMs, type Observation, pollDeadlineMs, type Voter } from '../types.js';

type Standby = Extract<Role, { kind: 'standby' }>;

/** Host and port a conninfo leads to, as pg_stat_wal_receiver would show them. */
export const addressOf = remembering((conninfo): { readonly host: string; readonly port: number } | null => {
  const parsed = parseConninfo(conninfo);
  if (parsed.kind !== 'parsed') return null;
  const host = parsed.keywords.get('host') ?? parsed.keywords.get('hostaddr') ?? '';
  return { host, port: Number(parsed.keywords.get('port') ?? '5432') };
});

/** Does that server's WAL receiver get messages from this voter? */
export function streamsFrom(obs: Observation, source: Voter): boolean {
  const receiver = obs.walReceiver;
  if (receiver === null || receiver.status !== 'streaming') return false;
  const address = addressOf(source.conninfo);
  return address !== null && receiver.host === address.host && receiver.port === address.port;
}

/** It answers, and is a standby: its server lives, the master it was does not. */
function isMasterNoMore(link: Link): boolean {
  return link.session === 'open' && link.obs?.inRecovery === true && Number.isFinite(link.obsAt);
}

/** Time of the last sign of life from the master; before the first one the startup grace counts from our start. */
function lastMasterLife(k: Keeper, link: Link): number {
  const { startupGraceMs } = k.settings;
  // It is the one to become master again: others stand only when it has had its time and did not.
  if (isMasterNoMore(link))
    return Math.max(k.seenMasterAt, k.startedAt + startupGraceMs) + failoverTimeMs(k.settings);
  const seen = k.registry !== null && k.seenMasterEpoch === k.registry.epoch;
  return seen
    ? Math.max(link.lastAlive, k.seenMasterAt)
    : Math.max(link.lastAlive, k.startedAt + startupGraceMs);
}

/** Cut sessions and a refused new connection, after we saw this epoch's master ourselves: a crash, not a silence. */
function hasCrashEvidence(k: Keeper, link: Link): boolean {
  return (
    k.settings.fastFailover &&
    k.seenMasterEpoch === k.registry?.epoch &&
    votersOf(k).length !== 2 &&
    link.session !== 'open' &&
    link.cut === 'cut' &&
    link.failure === 'refused' &&
    link.cutAt >= link.lastAlive
  );
}

/** What others would say of a master that is seen to be a standby is no news. */
function peersToAsk(k: Keeper, link: Link): readonly Voter[] {
  if (isMasterNoMore(link)) return [];
  return votersOf(k).filter(
    (voter) =>
      voter.kind === 'node' &&
      voter.name !== k.settings.name &&
      voter.name !== k.registry?.master &&
      linkOf(k, voter.name)?.session === 'open',
  );
}

/** Starts asking when the evidence is there: at once after a crash, else so that the answers are in at T. */
export function watchMaster(k: Keeper, turn: Turn, role: Standby): void {
  const link = masterLink(k);
  const epoch = k.registry?.epoch ?? 0;
  // What was found out about another master says nothing of this one, which was a standby then.
  if (role.suspicion?.epoch !== epoch) role.suspicion = null;
  if (link === undefined || role.suspicion !== null) return;
  if (
    link.session === 'open' &&
    link.obs?.inRecovery === false &&
    k.now - link.lastAlive < failoverTimeMs(k.settings) / 2
  ) {
    role.suspectAfter = Math.min(role.suspectAfter, k.now);
  }
  if (!due(k, turn, role.suspectAfter)) return;
  const fast = hasCrashEvidence(k, link);
  const silentAt = lastMasterLife(k, link) + failoverTimeMs(k.settings);
  const askMs = pollDeadlineMs(k.settings);
  if (!fast && !due(k, turn, silentAt - askMs)) return;
  const peers = peersToAsk(k, link);
  role.suspicion = {
    round: k.nextId++,
    epoch,
    since: k.now,
    fast,
    deadline: fast ? k.now + askMs : Math.max(silentAt, k.now + askMs / 2),
    answers: new Map(peers.map((peer) => [peer.name, 'pending' as const])),
  };
  const details = {
    master: link.voter,
    // Of one that never answered since this worker is there nothing longer is known.
    silentMs: Math.round(k.now - Math.max(link.lastAlive, k.startedAt)),
    misses: link.misses,
    failure: link.failure ?? 'silent',
    asked: peers.length,
  };
  note(k, turn, fast ? 'master-crashed' : 'master-suspected', details);
  const conninfo = voterNamed(k, link.voter)?.conninfo ?? '';
  for (const peer of peers) {
    turn.effects.push({
      kind: 'indirect-poll',
      via: peer.name,
      conninfo,
      round: role.suspicion.round,
      deadlineMs: askMs,
    });
  }
}

export function ingestIndirectAnswer(suspicion: Suspicion, via: string, sees: boolean | null): void {
  if (!suspicion.answers.has(via)) return;
  suspicion.answers.set(via, sees === null ? 'no-answer' : sees ? 'sees' : 'does-not');
}

/** A server reads its clock and the time of the last message one after the other. */
const clockSlackMs = 1000;

/** A server whose WAL receiver still hears the master, by looks taken since the suspicion began, and until when it does. */
function hearsMaster(
  k: Keeper,
  suspicion: Suspicion,
  master: Voter,
): { readonly name: string; readonly until: number } | null {
  for (const voter of votersOf(k)) {
    const link = linkOf(k, voter.name);
    if (link === undefined || link.obs === null || !seenSince(link, suspicion.since)) continue;
    const age = link.obs.walReceiver?.lastMessageAgeMs ?? Number.POSITIVE_INFINITY;
    // From the future: that server's clock was set back since, and no message has come by the new one.
    if (age < -clockSlackMs) continue;
    const until = link.obsAt + failoverTimeMs(k.settings) - age;
    if (k.now < until && streamsFrom(link.obs, master)) return { name: voter.name, until };
  }
  return null;
}

/**
 * Whoever streams from the master hears it. A look that shows it is kept in mind: when those streams are cut later, the
 * master was seen until then all the same, and may have renewed its votes.
 */
export function ingestHearing(k: Keeper, arrived: Arrived): void {
  if (arrived.answer.kind !== 'observed') return;
  const { observation } = arrived.answer;
  const master = k.registry?.master == null ? undefined : voterNamed(k, k.registry.master);
  const age = observation.walReceiver?.lastMessageAgeMs ?? Number.POSITIVE_INFINITY;
  if (master === undefined || age < -clockSlackMs || !streamsFrom(observation, master)) return;
  k.seenByPeerAt = Math.max(k.seenByPeerAt, arrived.sentAt - Math.max(0, age));
}

/** After a crash a peer's own WAL receiver says as much as its poll: a look since then shows it no longer streams. */
function lostItToo(k: Keeper, suspicion: Suspicion, peer: string): boolean {
  const link = linkOf(k, peer);
  return suspicion.fast && link !== undefined && seenSince(link, suspicion.since);
}

export type Verdict = 'pending' | 'gone' | 'seen';

/** Weighs a running suspicion. */
export function judgeSuspicion(k: Keeper, turn: Turn, role: Standby): Verdict {
  const { suspicion } = role;
  const link = masterLink(k);
  const master = link === undefined ? undefined : voterNamed(k, link.voter);
  if (suspicion === null || link === undefined || master === undefined) return 'seen';
  const noMore = isMasterNoMore(link);
  if (link.session === 'open' && link.lastAlive > suspicion.since && !noMore)
    return ended(k, turn, role, 'master-back', '');
  for (const [peer, answer] of suspicion.answers) {
    if (answer === 'sees') return ended(k, turn, role, 'master-seen-by-peer', peer);
  }
  const late = due(k, turn, suspicion.deadline);
  const every = suspicion.fast ? 10 : 100;
  for (const voter of votersOf(k)) {
    const peer = linkOf(k, voter.name);
    if (peer !== undefined && voter.name !== master.name) observe(k, turn, peer, every);
  }
  const hearer = noMore ? null : hearsMaster(k, suspicion, master);
  if (hearer !== null) {
    // A silent master's last message ages past T by itself: stay on it, so that the verdict falls on time.
    const ageing = !suspicion.fast && k.now - suspicion.since < 2 * k.settings.keepaliveTimeMs;
    if (late && !ageing) return ended(k, turn, role, 'master-seen-by-peer', hearer.name);
    wake(k, turn, hearer.until);
    if (ageing) wake(k, turn, suspicion.since + 2 * k.settings.keepaliveTimeMs);
    return 'pending';
  }
  const pending = [...suspicion.answers].some(
    ([peer, answer]) => answer === 'pending' && !lostItToo(k, suspicion, peer),
  );
  const looked = seenSince(ownLink(k), suspicion.since);
  if ((pending || !looked) && !late) return 'pending';
  if (!suspicion.fast && !late) return 'pending';
  return 'gone';
}

function ended(
  k: Keeper,
  turn: Turn,
  role: Standby,
  code: 'master-back' | 'master-seen-by-peer',
  peer: string,
): Verdict {
  note(k, turn, code, { peer, master: k.registry?.master ?? '-' });
  if (code === 'master-seen-by-peer') k.seenByPeerAt = k.now;
  role.suspicion = null;
  role.suspectAfter = k.now + Math.min(1000, k.settings.keepaliveTimeMs / 2);
  return 'seen';
}
