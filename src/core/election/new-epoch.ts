/**
 * The first act of an epoch: its row with R and k, on a majority and on k members, only then the real names. Until then
 * nothing is acknowledged while sync is wished.
 */
import type { Command, SyncRow } from '../effects.js';
import { linkOf, observe, ownLink, voterNamed, votersOf } from '../links.js';
import type { Wish } from '../master-state.js';
import { mustBeRemade } from '../ranking.js';
import type { Election, Keeper } from '../state.js';
import { awaitFlush, flushedBy, isEstablished } from '../sync/established.js';
import { namesFor, resolveWish, syncRowOf } from '../sync/sync-plan.js';
import { due, note, send, type Turn } from '../turn.js';
import { holdNames, type Registry, type Voter } from '../types.js';
import { canSpare, heldVoters, letLeave, neededVotes, tryVotes } from '../votes/lease.js';
import { rowInForce, tellWitnesses } from '../votes/witness.js';
import { streamsFrom } from '../watch/suspicion.js';
import { enterPhase, waitUnderHold } from './election-round.js';

/** How long the wished standbys of the new epoch may take before it starts degraded. */
const newSetBoundMs = 2000;
/** After that long with too few nodes that stream, those that must be copied first are let go. */
const unableBoundMs = 10_000;
/** Then the votes are free for so long: a node that has to be rewound tries for its own every 250 ms. */
const leaveMs = 600;

/** Sync wished: the hold stands since before the promotion, nothing is acknowledged. */
export function mayWait(k: Keeper): boolean {
  return (k.registry?.syncWished ?? 0) > 0 && k.registry?.master === k.settings.name;
}

export function keepWaiting(k: Keeper, turn: Turn, why: string, pauseMs = 0): void {
  note(k, turn, 'election-aborted', { why: `${why}; commits wait until a majority follows` });
  waitUnderHold(k, turn, pauseMs);
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

/** Sync is wished by the row in force, or by the files of this server, which the new epoch's row will go by. */
export function willSync(k: Keeper, e: Election): boolean {
  const { registry } = k;
  return registry !== null && (registry.syncWished > 0 || syncOfNewEpoch(k, e, registry).wished > 0);
}

export function walkEpoch(k: Keeper, turn: Turn, e: Election): void {
  const ours = ownLink(k).obs?.registry ?? null;
  if (ours === null || e.sent.has('epoch')) return;
  const basis = k.forced?.forced ?? rowInForce(k, ours);
  e.sync ??= syncOfNewEpoch(k, e, basis);
  const command: Command = {
    kind: 'write-epoch',
    epoch: e.epoch,
    sync: e.sync,
    promoted: e.cause === 'failover',
    basis,
  };
  if (send(k, turn, ownLink(k), command)) e.sent.add('epoch');
}

/** On a majority, and on k members of the new R: only then may the row say so. */
export function walkEstablish(k: Keeper, turn: Turn, e: Election): void {
  const row = k.registry;
  if (e.writtenLsn === null || e.sync === null || row === null) return;
  // Whoever must be copied before it can follow is let go as soon as others vote in its place.
  tryVotes(
    k,
    turn,
    votersOf(k).filter((voter) => !isFencedNode(k, voter)),
    250,
  );
  letLeave(k, turn, (voter) => isFencedNode(k, voter));
  const flushed = flushedBy(k, e.writtenLsn);
  const members = e.sync.members.filter((name) => flushed.has(name)).length;
  // A witness has no WAL behind the row: it may have it only when the members that the row promises have all of it.
  if (members >= e.sync.needed) tellWitnesses(k, turn, row);
  if (isEstablished(k, e.writtenLsn, e.phaseAt, row) && members >= e.sync.needed) {
    note(k, turn, 'epoch-established', { epoch: e.epoch, tookMs: Math.round(k.now - e.phaseAt) });
    enterPhase(k, e, 'names');
    return walkNames(k, turn, e);
  }
  if (!canEstablish(k) && due(k, turn, e.phaseAt + unableBoundMs)) {
    if (!mayWait(k) && !isHoldProven(k, turn, e)) return;
    return keepWaiting(k, turn, 'less than a majority can follow this server', leaveMs);
  }
  const late = members < e.sync.needed && due(k, turn, e.phaseAt + newSetBoundMs);
  if (late && !e.sent.has('degrade') && degrade(k, turn, e, e.sync)) return;
  // Last: a look that waits for the flush keeps the session busy.
  observe(k, turn, ownLink(k), 3, awaitFlush(k, e.writtenLsn, e.sync));
}

/** The new epoch begins without synchronous standbys; that row must be on a majority itself before the setting follows it. */
function degrade(k: Keeper, turn: Turn, e: Election, present: SyncRow): boolean {
  const sync = { ...present, needed: 0 };
  if (!send(k, turn, ownLink(k), { kind: 'write-sync', sync })) return false;
  e.sync = sync;
  e.writtenLsn = null;
  e.sent.add('degrade');
  return true;
}

/** With sync off commits are acknowledged until then; they must not be any more when the votes are given back. */
function isHoldProven(k: Keeper, turn: Turn, e: Election): boolean {
  if (e.holdProven) return true;
  const own = ownLink(k);
  const isSet = own.obs?.names === holdNames;
  send(k, turn, own, isSet ? { kind: 'prove-hold' } : { kind: 'set-names', names: holdNames });
  return false;
}

/**
 * Do enough nodes stream from here, whatever they have flushed yet? A node whose log went on beyond the point where this
 * history left its own keeps its connection, asks again and again, and gets nowhere: it never shows as streaming.
 */
function canEstablish(k: Keeper): boolean {
  const follows = (ownLink(k).obs?.replication ?? []).filter(({ state }) => state === 'streaming');
  const names = new Set(follows.map((row) => row.name)).add(k.settings.name);
  const held = new Set(heldVoters(k).map((voter) => voter.name));
  const able = votersOf(k).filter(({ kind, name }) => (kind === 'node' ? names : held).has(name));
  return able.length >= neededVotes(k);
}

function isFencedNode(k: Keeper, voter: Voter): boolean {
  const obs = linkOf(k, voter.name)?.obs;
  const self = voterNamed(k, k.settings.name);
  const ours = ownLink(k).obs;
  if (voter.name === k.settings.name || !obs || ours === null || self === undefined) return false;
  if (!mustBeRemade(obs, ours)) return false;
  return !streamsFrom(obs, self) && canSpare(k, voter);
}

export function walkNames(k: Keeper, turn: Turn, e: Election): void {
  const { registry } = k;
  if (registry === null || e.sync === null || e.sent.has('names')) return;
  // Off says the registry: what the user's own files say stands, it may be a wish that is not taken over yet.
  const { method } = wishFor(k, registry, e.file, e.oldMaster);
  const names = e.sync.wished === 0 ? null : namesFor(e.sync, method);
  if (send(k, turn, ownLink(k), { kind: 'set-names', names })) e.sent.add('names');
}
