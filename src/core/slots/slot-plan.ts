/**
 * What is to be done about the keeper's replication slots on one server, from one look at it and, on a standby, one at its master.
 *
 * Each node has a slot on each other node. On the master a slot in use moves by itself. On a standby nobody uses them, so its worker
 * moves them to where the master's are: whoever becomes master then has the WAL that any node still wants. A slot never moves back.
 */
import type { Lsn } from '../lsn.js';
import { isManagedSlot, slotNameOf } from './slot-names.js';

export interface Slot {
  readonly name: string;
  /** Somebody streams by it. */
  readonly active: boolean;
  /** Its WAL was removed, since it held more than max_slot_wal_keep_size. */
  readonly lost: boolean;
  /** By the word of a standby with hot_standby_feedback: rows that vacuum may not remove. */
  readonly holdsRows: boolean;
  /** null = it holds no WAL. */
  readonly restart: Lsn | null;
}

export interface SlotLook {
  readonly inRecovery: boolean;
  /** The keeper's slots only. */
  readonly slots: readonly Slot[];
  /** What each node that streams from this server has on its disk, by name. */
  readonly streams: ReadonlyMap<string, Lsn>;
}

export interface OwnSlotLook extends SlotLook {
  /** Registered nodes, by this server's own registry. */
  readonly nodes: readonly string[];
  readonly master: string | null;
  /** Where a recovery from the last checkpoint would begin. */
  readonly redo: Lsn;
  /** primary_slot_name; '' = none. */
  readonly streamsBy: string;
  /** It streams, and by that name. */
  readonly receives: boolean;
}

export type SlotAction =
  | { readonly kind: 'make' | 'drop'; readonly slot: string }
  | { readonly kind: 'remake'; readonly slot: string; readonly since: 'lost' | 'holds-rows' }
  | { readonly kind: 'advance'; readonly slot: string; readonly to: Lsn }
  /** primary_slot_name of this server; '' = none. */
  | { readonly kind: 'stream-by'; readonly slot: string };

export interface SlotNode {
  readonly name: string;
  /** The setting manage_slots. */
  readonly manages: boolean;
  /**
   * Every other node was seen to have the slot of this one: it is streamed by only then. A node whose worker makes none (of an older
   * release, or with manage_slots off) could else become master, and its worker point a standby at it that names what is not there.
   */
  readonly isEverywhere: boolean;
}

/** `master`: the look at the master, on a standby that reaches it. */
export function planSlots(
  own: OwnSlotLook,
  master: SlotLook | null,
  { name, manages, isEverywhere }: SlotNode,
): readonly SlotAction[] {
  const isMember = takesPart(own.nodes, { name, manages });
  const others = isMember ? own.nodes.filter((node) => node !== name) : [];
  const wanted = new Set(others.map(slotNameOf));
  const writable = master !== null && !master.inRecovery ? master : null;
  return [
    ...own.slots
      .filter((slot) => !wanted.has(slot.name) && !slot.active)
      .map((slot): SlotAction => ({ kind: 'drop', slot: slot.name })),
    ...others.flatMap((node) => actionsFor(own, writable, node)),
    ...ownName(own, writable, name, isMember, isEverywhere),
  ];
}

/** A node that was removed, or manages no slots, only lets go of what there is. */
export function takesPart(nodes: readonly string[], node: Pick<SlotNode, 'name' | 'manages'>): boolean {
  return node.manages && nodes.includes(node.name);
}

function actionsFor(own: OwnSlotLook, master: SlotLook | null, node: string): readonly SlotAction[] {
  const name = slotNameOf(node);
  const slot = own.slots.find((one) => one.name === name);
  if (slot === undefined) return [{ kind: 'make', slot: name }];
  // Whoever uses it moves it.
  if (slot.active) return [];
  if (slot.lost) return [{ kind: 'remake', slot: name, since: 'lost' }];
  // Left from when this server was master: nobody would ever take that word back, and the master gets it from here.
  if (own.inRecovery && slot.holdsRows) return [{ kind: 'remake', slot: name, since: 'holds-rows' }];
  if (slot.restart === null) return [];
  const to = own.inRecovery ? positionOnMaster(own, master, node) : own.streams.get(node);
  return to !== undefined && to > slot.restart ? [{ kind: 'advance', slot: name, to }] : [];
}

/** From where on the node may want WAL; undefined = not known, so everything is kept. */
function positionOnMaster(own: OwnSlotLook, master: SlotLook | null, node: string): Lsn | undefined {
  // A former master is rewound to the last checkpoint before the histories part, and reads on from there.
  if (node === own.master) return own.redo;
  if (master === null) return undefined;
  const slot = master.slots.find((one) => one.name === slotNameOf(node) && !one.lost);
  // Where the master keeps nothing for it, this server need not either.
  return slot?.restart ?? master.streams.get(node) ?? own.redo;
}

/** Every change of primary_slot_name makes the WAL receiver start anew. */
function ownName(
  own: OwnSlotLook,
  master: SlotLook | null,
  name: string,
  isMember: boolean,
  isEverywhere: boolean,
): readonly SlotAction[] {
  const { streamsBy } = own;
  // Somebody's own choice.
  if (streamsBy !== '' && !isManagedSlot(streamsBy)) return [];
  const none: readonly SlotAction[] = streamsBy === '' ? [] : [{ kind: 'stream-by', slot: '' }];
  if (!isMember) return none;
  if (!own.inRecovery || master === null) return [];
  const slot = master.slots.find((one) => one.name === slotNameOf(name) && !one.lost);
  if (slot !== undefined && streamsBy === slot.name) return [];
  // Only one that streams from that very master: in an election it may be another server already, and that may lack the slot.
  if (isEverywhere && slot !== undefined && !slot.active && master.streams.has(name))
    return [{ kind: 'stream-by', slot: slot.name }];
  return own.receives ? [] : none;
}
