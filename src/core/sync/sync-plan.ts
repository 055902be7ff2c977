/**
 * Which synchronous set to aim for and which step leads there. Pure values.
 *
 * The server asks k_c acknowledgements out of C; the registry says k_r of R. At every instant C is a subset of R and
 * k_r <= k_c, and every commit acknowledged so far is on at least k_r members of R. Two paths keep that true:
 *   registry-first  (k lowered, members only added, sync off): registry, established, then the setting.
 *   under-hold      (everything else): hold proven -> nothing is acknowledged any more -> the new R has flushed all there
 *                   is -> registry, established -> the new setting.
 */
import type { SyncRow } from '../effects.js';
import type { Wish, WishProblem } from '../master-state.js';
import { holdNames, type Registry, type Voter } from '../types.js';
import { formatStandbyNames, isSameName, parseStandbyNames } from './standby-names.js';

const noWish: Wish = { kind: 'wish', text: '', method: 'priority', needed: 0, members: [] };

/** Reads a wish. A list that names the present master but not the former one means the former one now. */
export function resolveWish(
  text: string,
  self: string,
  formerMaster: string | null,
  nodes: readonly Voter[],
): Wish | WishProblem {
  const parsed = parseStandbyNames(text);
  if (parsed.kind === 'problem') return { kind: 'refused', why: parsed.message };
  const names = parsed.value.names.filter((name) => name !== holdNames);
  if (names.length === 0) return noWish;
  if (names.includes('*')) return { kind: 'refused', why: 'list the standbys by name' };
  const namesFormer = formerMaster !== null && names.some((name) => isSameName(name, formerMaster));
  const swapped = names.map((name) =>
    isSameName(name, self) && formerMaster !== null && !namesFormer ? formerMaster : name,
  );
  const members: string[] = [];
  for (const name of swapped) {
    const node = nodes.find((candidate) => candidate.kind === 'node' && isSameName(candidate.name, name));
    if (node !== undefined && node.name !== self && !members.includes(node.name)) members.push(node.name);
  }
  const value = { ...parsed.value, names: swapped };
  return {
    kind: 'wish',
    text: formatStandbyNames(value),
    method: value.method,
    needed: value.needed,
    members,
  };
}

export function syncRowOf(registry: Registry): SyncRow {
  return {
    wish: registry.syncWish,
    members: registry.syncMembers,
    needed: registry.syncNeeded,
    wished: registry.syncWished,
  };
}

/** synchronous_standby_names of a master for a registry row. Degraded and off: empty. */
export function namesFor(row: SyncRow, method: Wish['method']): string {
  if (row.needed === 0) return '';
  return formatStandbyNames({ method, needed: row.needed, names: row.members });
}

/** The same for the row as it is: asked for in every step of a master. */
const namesOfRow = new WeakMap<Registry, { readonly method: Wish['method']; readonly names: string }>();

export function namesForRow(registry: Registry, method: Wish['method']): string {
  if (registry.syncNeeded === 0) return '';
  const known = namesOfRow.get(registry);
  if (known?.method === method) return known.names;
  const names = namesFor(syncRowOf(registry), method);
  namesOfRow.set(registry, { method, names });
  return names;
}

/** Where to go: wished members that stream (new ones) or have not been lost for T (old ones). */
export function desiredSync(
  current: SyncRow,
  wish: Wish,
  seen: { streams(name: string): boolean; lost(name: string): boolean; registered(name: string): boolean },
): SyncRow {
  const { streams, lost, registered } = seen;
  if (wish.needed === 0) return { wish: wish.text, members: [], needed: 0, wished: 0 };
  const usable = wish.members.filter((name) =>
    current.members.includes(name) && current.needed > 0 ? !lost(name) : streams(name),
  );
  const needed = Math.min(wish.needed, usable.length);
  // Nobody left: degraded keeps R, which names those who may hold acknowledged commits.
  const members = needed === 0 ? current.members.filter(registered) : usable;
  return { wish: wish.text, members, needed, wished: wish.needed };
}

export function isSameSync(a: SyncRow, b: SyncRow): boolean {
  return (
    a.wish === b.wish &&
    a.needed === b.needed &&
    a.wished === b.wished &&
    a.members.length === b.members.length &&
    a.members.every((name, i) => name === b.members[i])
  );
}

export interface SyncStep {
  readonly path: 'registry-first' | 'under-hold';
  readonly target: SyncRow;
}

/** The next step from `current` towards `desired`; null when there. */
export function nextSyncStep(current: SyncRow, desired: SyncRow): SyncStep | null {
  if (isSameSync(current, desired)) return null;
  if (desired.wished === 0) return { path: 'registry-first', target: desired };
  const keepsAll = current.members.every((name) => desired.members.includes(name));
  if (desired.needed < current.needed) {
    const members = [
      ...current.members,
      ...desired.members.filter((name) => !current.members.includes(name)),
    ];
    return { path: 'registry-first', target: { ...desired, members } };
  }
  if (desired.needed === current.needed && keepsAll) return { path: 'registry-first', target: desired };
  return { path: 'under-hold', target: desired };
}

export function describeSync(row: SyncRow): string {
  if (row.wished === 0) return 'off';
  const members = `{${row.members.join(', ')}}`;
  return row.needed === 0 ? `degraded, R = ${members}` : `${row.needed} of ${members}`;
}
