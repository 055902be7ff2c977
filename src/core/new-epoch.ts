/**
 * The first act of an epoch: its row with R and k, on a majority and on k members, only then the real names. Until then
 * nothing is acknowledged while sync is wished.
 */
import type { Command, SyncRow } from './effects.js';
import { enterPhase, waitUnderHold } from './election-round.js';
import { awaitFlush, flushedBy, isEstablished } from './established.js';
import { canSpare, letLeave, neededVotes, tryVotes } from './lease.js';
import { linkOf, observe, ownLink, voterNamed, votersOf } from './links.js';
import type { Election, Keeper } from './state.js';
import { streamsFrom } from './suspicion.js';
import { namesFor, resolveWish, syncRowOf, type Wish } from './sync-plan.js';
import { due, note, send, type Turn } from './turn.js';
import type { Registry, Voter } from './types.js';

/** How long the wished standbys of the new epoch may take before it starts degraded. */
const newSetBoundMs = 2000;
/** After that long with too few nodes that stream, those that must be copied first are let go. */
const unableBoundMs = 10_000;

/** Sync wished: the hold stands since before the promotion, nothing is acknowledged. */
export function mayWait(k: Keeper): boolean {
  return (k.registry?.syncWished ?? 0) > 0 && k.registry?.master === k.settings.name;
}

export function keepWaiting(k: Keeper, turn: Turn, why: string): void {
  note(k, turn, 'election-aborted', { why: `${why}; commits wait until a majority follows` });
  waitUnderHold(k, turn);
}

/** The wish on this node: its own files first, else what the registry remembers of the last master's. */
export function wishFor(
  k: Keeper,
  registry: Registry,
  file: string | null,
  formerMaster: string | null,
): Wish {
  const former = formerMaster === k.settings.name ? null : formerMaster;
  const text = file === null || file === '' ? registry.syncWish : file;
  const wish = resolveWish(text, k.settings.name, former, registry.nodes);
  if (wish.kind !== 'refused') return wish;
  const kept = resolveWish(registry.syncWish, k.settings.name, former, registry.nodes);
  return kept.kind === 'refused'
    ? { kind: 'wish', text: '', method: 'priority', needed: 0, members: [] }
    : kept;
}

/** R and k of the new epoch: a claim keeps what is in force; a promotion takes the wished nodes frozen behind it. */
function syncOfNewEpoch(k: Keeper, e: Election, registry: Registry): SyncRow {
  if (e.cause === 'claim') return syncRowOf(registry);
  const wish = wishFor(k, registry, e.file, e.oldMaster);
  const members = wish.members.filter((name) => e.frozen.has(name));
  return { wish: wish.text, members, needed: Math.min(wish.needed, members.length), wished: wish.needed };
}

export function walkEpoch(k: Keeper, turn: Turn, e: Election): void {
  const { registry } = k;
  if (registry === null || e.sent.has('epoch')) return;
  e.sync ??= syncOfNewEpoch(k, e, registry);
  const command: Command = {
    kind: 'write-epoch',
    epoch: e.epoch,
    sync: e.sync,
    promoted: e.cause === 'failover',
  };
  if (send(k, turn, ownLink(k), command)) e.sent.add('epoch');
}

/** On a majority, and on k members of the new R: only then may the row say so. */
export function walkEstablish(k: Keeper, turn: Turn, e: Election): void {
  if (e.writtenLsn === null || e.sync === null) return;
  // Whoever must be copied before it can follow is let go as soon as others vote in its place.
  tryVotes(
    k,
    turn,
    votersOf(k).filter((voter) => !isFencedNode(k, voter)),
    250,
  );
  letLeave(k, turn, (voter) => isFencedNode(k, voter));
  observe(k, turn, ownLink(k), 3, awaitFlush(k, e.writtenLsn, e.sync));
  const flushed = flushedBy(k, e.writtenLsn);
  const members = e.sync.members.filter((name) => flushed.has(name)).length;
  if (isEstablished(k, e.writtenLsn, e.phaseAt) && members >= e.sync.needed) {
    note(k, turn, 'epoch-established', { epoch: e.epoch, tookMs: Math.round(k.now - e.phaseAt) });
    enterPhase(k, e, 'names');
    return walkNames(k, turn, e);
  }
  if (mayWait(k) && !canEstablish(k) && due(k, turn, e.phaseAt + unableBoundMs))
    return keepWaiting(k, turn, 'less than a majority can follow this server');
  if (members >= e.sync.needed || !due(k, turn, e.phaseAt + newSetBoundMs) || e.sent.has('degrade')) return;
  const sync = { ...e.sync, needed: 0 };
  if (!send(k, turn, ownLink(k), { kind: 'write-sync', sync })) return;
  e.sync = sync;
  e.sent.add('degrade');
}

/**
 * Do enough nodes stream from here, whatever they have flushed yet? A node whose log went on beyond the point where this
 * history left its own keeps its connection, asks again and again, and gets nowhere: it never shows as streaming.
 */
function canEstablish(k: Keeper): boolean {
  const rows = (ownLink(k).obs?.replication ?? []).filter(({ state }) => state === 'streaming');
  const names = new Set(rows.map((row) => row.name)).add(k.settings.name);
  return votersOf(k).filter((voter) => names.has(voter.name)).length >= neededVotes(k);
}

function isFencedNode(k: Keeper, voter: Voter): boolean {
  const obs = linkOf(k, voter.name)?.obs;
  const self = voterNamed(k, k.settings.name);
  if (voter.name === k.settings.name || !obs?.fenced || self === undefined) return false;
  return !streamsFrom(obs, self) && canSpare(k, voter);
}

export function walkNames(k: Keeper, turn: Turn, e: Election): void {
  const { registry } = k;
  if (registry === null || e.sync === null || e.sent.has('names')) return;
  const names = namesFor(e.sync, wishFor(k, registry, e.file, e.oldMaster).method);
  if (send(k, turn, ownLink(k), { kind: 'set-names', names })) e.sent.add('names');
}
