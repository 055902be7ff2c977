/** The master's synchronous set: what the user wishes, what is alive, which step comes next. */
import { observe, ownLink } from '../links.js';
import type { Master, Wish } from '../master-state.js';
import type { Arrived, Keeper } from '../state.js';
import { due, isIdle, note, send, type Turn } from '../turn.js';
import { failoverTimeMs, holdNames, type Observation, type Registry } from '../types.js';
import { isSameName, parseStandbyNames } from './standby-names.js';
import { ingestSyncChange, startSyncChange, walkSyncChange } from './sync-change.js';
import { describeSync, desiredSync, namesForRow, nextSyncStep, resolveWish, syncRowOf } from './sync-plan.js';

/** How often the server's files are read for a changed wish; a hint reads them at once. */
const wishEveryMs = 5000;

/** What a master last saw when there was nothing to change: while it sees the same, there is nothing. */
const atRest = new WeakMap<
  Master,
  { readonly obs: Observation; readonly registry: Registry; readonly wish: Wish }
>();

export function decideSync(k: Keeper, turn: Turn, m: Master, obs: Observation): void {
  const own = ownLink(k);
  const { registry } = k;
  if (registry === null) return;
  if (m.fileWish === undefined || due(k, turn, m.wishAt + wishEveryMs)) {
    if (m.change === null && send(k, turn, own, { kind: 'read-wish' })) m.wishAt = k.now;
  }
  const wish = wishOf(k, turn, m, registry);
  if (wish === null) return;
  m.wishedMembers = wish.members;
  noteAsync(k, turn, m, registry);
  if (m.change !== null) return walkSyncChange(k, turn, m, wish);
  if (m.pending !== null || m.establishedVersion !== registry.version || !isIdle(own)) return;
  const managed = registry.syncWished > 0 || registry.syncMembers.length > 0 || m.appliedNames !== null;
  // The hold of a first change that was abandoned: where nothing was managed yet, the user's own names come back.
  if (!managed && obs.names === holdNames && send(k, turn, own, { kind: 'set-names', names: null })) {
    own.obsAt = Number.NEGATIVE_INFINITY;
    return;
  }
  if (managed && restoreNames(k, turn, m, obs, registry, wish)) return;
  const lost = (name: string) => k.now - (m.streamingAt.get(name) ?? m.since) >= failoverTimeMs(k.settings);
  const anyLost = registry.syncMembers.some(lost);
  const before = atRest.get(m);
  if (!anyLost && before?.obs === obs && before.registry === registry && before.wish === wish) return;
  const desired = desiredSync(syncRowOf(registry), wish, {
    streams: (name) => streams(obs, name) && !lost(name),
    lost,
    registered: (name) => registry.nodes.some((node) => node.name === name),
  });
  if (!managed && desired.needed < desired.wished && isSettingUp(k, turn, m, obs, wish)) return;
  if (!managed && desired.wished === 0 && registry.syncWished === 0 && registry.syncWish === desired.wish)
    return;
  const step = nextSyncStep(syncRowOf(registry), desired);
  if (step === null && !anyLost) atRest.set(m, { obs, registry, wish });
  if (step === null || !due(k, turn, m.changeAfter)) return;
  startSyncChange(k, turn, m, step);
  walkSyncChange(k, turn, m, wish);
}

/**
 * While a cluster is being registered the user's own setting stays as it is: for T, and as long as a wished standby
 * streams that is no node yet. Afterwards what is missing is missing, and commits must not wait for it for ever.
 */
function isSettingUp(k: Keeper, turn: Turn, m: Master, obs: Observation, wish: Wish): boolean {
  if (!due(k, turn, m.since + failoverTimeMs(k.settings))) return true;
  const parsed = parseStandbyNames(wish.text);
  const names = parsed.kind === 'parsed' ? parsed.value.names : [];
  return obs.replication.some(
    (row) => names.some((name) => isSameName(name, row.name)) && !wish.members.includes(row.name),
  );
}

/** Streams and is close enough that waiting for it under hold is short. */
function streams(obs: Observation, name: string): boolean {
  const near = 16n * 1024n * 1024n;
  return obs.replication.some(
    (row) =>
      row.name === name &&
      row.state === 'streaming' &&
      row.flushLsn !== null &&
      obs.received - row.flushLsn < near,
  );
}

/** Names other than the row's: ours come back after an interrupted change; a user's ALTER SYSTEM is a new wish. */
function restoreNames(
  k: Keeper,
  turn: Turn,
  m: Master,
  obs: Observation,
  registry: Registry,
  wish: Wish,
): boolean {
  const expected = namesForRow(registry, wish.method);
  if (obs.names === expected) {
    m.appliedNames = expected;
    return false;
  }
  if (
    m.appliedNames !== null &&
    obs.names !== m.appliedNames &&
    obs.names !== holdNames &&
    obs.names !== m.wishText
  ) {
    m.wishText = obs.names;
    note(k, turn, 'sync-wish', { wish: obs.names });
  }
  m.appliedNames = expected;
  const sent = send(k, turn, ownLink(k), { kind: 'set-names', names: expected });
  if (sent) ownLink(k).obsAt = Number.NEGATIVE_INFINITY;
  return sent;
}

/** Asked for in every step, changed hardly ever. */
function resolved(k: Keeper, m: Master, text: string, registry: Registry): ReturnType<typeof resolveWish> {
  const { nodes } = registry;
  if (m.resolved?.text !== text || m.resolved.nodes !== nodes)
    m.resolved = { text, nodes, wish: resolveWish(text, k.settings.name, m.oldMaster, nodes) };
  return m.resolved.wish;
}

/** The wish resolved for this master, or null while it is not known. */
function wishOf(k: Keeper, turn: Turn, m: Master, registry: Registry): Wish | null {
  if (m.wishText === null) return null;
  const former = m.oldMaster;
  const wish = resolved(k, m, m.wishText, registry);
  if (wish.kind === 'wish') return wish;
  if (m.refusedWish !== m.wishText) {
    m.refusedWish = m.wishText;
    note(k, turn, 'sync-wish-refused', { wish: m.wishText, why: wish.why, kept: registry.syncWish });
  }
  const kept = resolveWish(registry.syncWish, k.settings.name, former, registry.nodes);
  return kept.kind === 'wish' && kept.needed > 0 ? kept : null;
}

function noteAsync(k: Keeper, turn: Turn, m: Master, registry: Registry): void {
  const isAsync = registry.syncWished > 0 && registry.syncNeeded === 0 && registry.syncMembers.length > 0;
  if (isAsync === m.async) return;
  m.async = isAsync;
  if (isAsync) note(k, turn, 'went-async', { wished: registry.syncWished, alive: 0 });
  else note(k, turn, 'back-to-sync', { to: describeSync(syncRowOf(registry)) });
  const { name } = k.settings;
  const event = isAsync ? 'async' : 'sync';
  turn.effects.push({
    kind: 'run-hook',
    hook: 'async',
    event,
    oldMaster: null,
    newMaster: name,
    epoch: registry.epoch,
  });
}

export function ingestSync(k: Keeper, turn: Turn, m: Master, arrived: Arrived): void {
  if (arrived.voter !== k.settings.name) return;
  if (arrived.answer.kind === 'wish') ingestWish(k, turn, m, arrived.answer.file, arrived.answer.effective);
  if (
    arrived.command.kind === 'set-names' &&
    arrived.command.names !== null &&
    arrived.command.names !== holdNames
  ) {
    m.appliedNames = arrived.command.names;
  }
  const before = m.change;
  ingestSyncChange(k, turn, m, arrived);
  // What was seen before the change says nothing any more.
  if (before !== null && m.change === null) observe(k, turn, ownLink(k), 0);
}

/** The server's own files win; where they are silent, the registry remembers. First adoption takes what is in effect. */
function ingestWish(k: Keeper, turn: Turn, m: Master, file: string | null, effective: string): void {
  const known = k.registry?.syncWish ?? '';
  const first = m.fileWish === undefined;
  const changed = !first && m.fileWish !== file;
  m.fileWish = file;
  if (!first && !changed) return;
  const adopted = effective.includes(holdNames) ? '' : effective;
  const fromFile = file !== null && file.trim() !== '' ? file : null;
  const text = changed ? (file ?? '') : (fromFile ?? (known !== '' ? known : adopted));
  if (text === m.wishText) return;
  m.wishText = text;
  if (text !== known) note(k, turn, 'sync-wish', { wish: text });
}
