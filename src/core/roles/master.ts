/**
 * The master's decisions while it holds the lease: keep it, tend the nodes whose votes it holds, keep the registry on a
 * majority. The synchronous set is master-sync.ts, membership is membership.ts.
 */

import { enterReclaim, startElection } from '../election/election-round.js';
import type { KeeperEvent } from '../events.js';
import { decideHandover, ingestHandover } from '../handover/handover.js';
import {
  everybody,
  heartbeatMs,
  linkOf,
  observe,
  ownLink,
  seenSince,
  voterNamed,
  votersOf,
} from '../links.js';
import type { Master } from '../master-state.js';
import { enterDown, probeOwnServer, retire } from '../own-server/own-server.js';
import { endPause, goesOnPaused, isLeftAlone } from '../pause.js';
import { isOtherHistory } from '../ranking.js';
import type { Arrived, Keeper } from '../state.js';
import { mayWitnessesHave, trackEstablished } from '../sync/established.js';
import { decideSync, ingestSync } from '../sync/master-sync.js';
import { note, send, type Turn, wake } from '../turn.js';
import { failoverTimeMs, type Observation, type Voter } from '../types.js';
import {
  canSpare,
  heldVoters,
  leaseUntil,
  letLeave,
  neededVotes,
  releaseVotes,
  tryVotes,
} from '../votes/lease.js';
import { tellWitnesses } from '../votes/witness.js';
import { isPointedAt } from '../watch/following.js';
import { streamsFrom } from '../watch/suspicion.js';
import { decideMembership, ingestMembership } from './membership.js';
import { isOutvoted, tend } from './tending.js';

/** How often the master looks at its own server: this is how soon a lost or returned standby is noticed. */
function ownLookMs(k: Keeper): number {
  return Math.min(1000, k.settings.keepaliveTimeMs / 2);
}

export function decideMaster(k: Keeper, turn: Turn, m: Master): void {
  const own = ownLink(k);
  if (own.session !== 'open') {
    if (own.session === 'none' && own.failure !== null) enterDown(k, turn, true);
    return;
  }
  const until = leaseUntil(k);
  if (until <= k.now && !goesOnPaused(k, turn, m)) return lapse(k, turn, m);
  if (until > k.now) {
    // After a gap there is a claim, in a pause too: it finds out whether anything is newer.
    if (m.lapsedAt !== null) return startElection(k, turn, 'claim', k.now, k.now);
    m.leaseUntil = until;
    wake(k, turn, until);
  }
  if (own.obs !== null && seenSince(own, m.since) && own.obs.inRecovery) {
    // Somebody turned this server into a standby: it is no master whatever the registry says.
    releaseVotes(k, turn);
    k.role = { kind: 'starting' };
    return;
  }
  if (k.now - m.ownAliveAt >= failoverTimeMs(k.settings) && !isLeftAlone(k)) {
    note(k, turn, 'server-frozen', { silentMs: Math.round(k.now - m.ownAliveAt) });
    return retire(k, turn);
  }
  wake(k, turn, m.ownAliveAt + failoverTimeMs(k.settings));
  probeOwnServer(k, turn, m);
  tryVotes(k, turn, unheld(k, m), Math.min(500, k.settings.leaseTtlMs / 6));
  letLeave(k, turn, (voter) => leaves(k, m, voter));
  const everyMs = heartbeatMs(k);
  for (const link of k.links.values()) {
    observe(k, turn, link, link === own ? ownLookMs(k) : everyMs);
    if (link !== own && m.lapsedAt === null) tend(k, turn, link);
  }
  if (m.lapsedAt !== null) return;
  if (own.obs === null || !seenSince(own, m.since)) return;
  if (isOverruled(k, own.obs)) {
    note(k, turn, 'newer-master', { master: k.registry?.master ?? 'nobody', epoch: k.registry?.epoch ?? 0 });
    return retire(k, turn);
  }
  if (own.obs.fenced && !m.fenceCleared) m.fenceCleared = send(k, turn, own, { kind: 'clear-fence' });
  endPause(k, turn);
  trackEstablished(k, turn, m, own.obs);
  if (own.obs.registry !== null && mayWitnessesHave(k, m)) tellWitnesses(k, turn, own.obs.registry);
  if (decideHandover(k, turn, m, own.obs)) return;
  decideSync(k, turn, m, own.obs);
  decideMembership(k, turn, m, own.obs);
}

/** Two nodes alone: each may have become master while they could not see each other. The newer epoch stays. */
function isOverruled(k: Keeper, obs: Observation): boolean {
  const { registry } = k;
  if (registry === null || obs.registry === null || registry.master === k.settings.name) return false;
  return registry.epoch > obs.registry.epoch;
}

/** The voters, then nodes that ask to become one (their vote is needed before they count), without those that leave. */
function unheld(k: Keeper, m: Master): readonly Voter[] {
  const found: Voter[] = [];
  for (const voter of everybody(k.registry).values()) {
    if (linkOf(k, voter.name)?.vote === null && !leaves(k, m, voter)) found.push(voter);
  }
  return found;
}

/** How long a node may not stream before its vote is left to its own worker, which may have to copy it afresh. */
const strayMs = 10_000;

/** A node that waits to be rewound or copied: needed no longer once the majority holds without its vote. */
function leaves(k: Keeper, m: Master, voter: Voter): boolean {
  if (voter.kind !== 'node' || voter.name === k.settings.name) return false;
  const obs = linkOf(k, voter.name)?.obs;
  if (!obs?.inRecovery) return false;
  if (!obs.fenced && k.now - (m.streamingAt.get(voter.name) ?? m.since) < strayMs) return false;
  const ours = ownLink(k).obs;
  const self = voterNamed(k, k.settings.name);
  if (ours === null || self === undefined || isOutvoted(k, obs)) return false;
  if (obs.fenced) return !streamsFrom(obs, self) && canSpare(k, voter);
  // Pointed elsewhere: it has to be pointed here first, by whoever holds its vote.
  return (isPointedAt(obs, self) || isOtherHistory(obs, ours)) && canSpare(k, voter);
}

function lapse(k: Keeper, turn: Turn, m: Master): void {
  const { registry } = k;
  const held = heldVoters(k).length;
  const details = { held, voters: votersOf(k).length, needed: neededVotes(k) };
  const syncInEffect = (registry?.syncNeeded ?? 0) > 0;
  note(k, turn, 'lease-lapsed', {
    ...details,
    what: syncInEffect ? 'holding commits and asking again' : 'fencing this server',
  });
  // Votes that were lost before their time (their servers restarted) can be had again once these are lease_ttl old.
  if (syncInEffect) return enterReclaim(k, turn, Math.max(k.now, m.leaseUntil));
  // The votes that are left go when the server is dead: with them another one could be elected beside it.
  retire(k, turn);
}

export function ingestMaster(
  k: Keeper,
  turn: Turn,
  m: Master,
  event: KeeperEvent,
  arrived: Arrived | null,
): void {
  if (event.kind === 'own-probe' && event.alive) m.ownAliveAt = k.now;
  if (event.kind === 'hook-done' && event.hook === 'after') m.commandRuns = false;
  ingestHandover(k, turn, m, event, arrived);
  if (arrived === null) return;
  if (arrived.voter === k.settings.name && arrived.answer.kind === 'observed') {
    noteStreaming(k, m, arrived.answer.observation, arrived.sentAt);
  }
  ingestSync(k, turn, m, arrived);
  ingestMembership(k, turn, m, arrived);
}

/**
 * Of a host that vanished the server believes for wal_sender_timeout that it streams. It does where nothing is outstanding,
 * where its position moves, or where its server answers this worker.
 */
function noteStreaming(k: Keeper, m: Master, obs: Observation, askedAt: number): void {
  for (const { name, state, flushLsn } of obs.replication) {
    if (state !== 'streaming' || flushLsn === null) continue;
    const moves = flushLsn >= obs.received || m.flushedTo.get(name) !== flushLsn;
    m.flushedTo.set(name, flushLsn);
    const link = linkOf(k, name);
    if (moves || link === undefined || askedAt - link.lastAlive < failoverTimeMs(k.settings) / 2)
      m.streamingAt.set(name, k.now);
  }
}

/** connected: a standby streams. async: sync is wished, and writes go on without. */
export function masterState(k: Keeper, _m: Master): string {
  const { registry } = k;
  if (registry !== null && registry.syncWished > 0 && registry.syncNeeded === 0 && registry.voters.length > 1)
    return 'master:async';
  for (const row of ownLink(k).obs?.replication ?? []) {
    if (row.state !== 'streaming' || linkOf(k, row.name) === undefined) continue;
    if (votersOf(k).some((voter) => voter.name === row.name)) return 'master:connected';
  }
  return 'master:ready';
}
