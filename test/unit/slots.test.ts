/** Names of the keeper's replication slots, and what is to be done about them on one server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Lsn } from '../../src/core/lsn.js';
import { isManagedSlot, slotNameOf } from '../../src/core/slots/slot-names.js';
import { type OwnSlotLook, planSlots, type Slot, type SlotLook } from '../../src/core/slots/slot-plan.js';

const lsn = (value: number) => BigInt(value) as Lsn;

test('the slot of a node has its name, in lower case', () => {
  assert.equal(slotNameOf('n1'), 'pgkeeper_node_n1');
  assert.equal(slotNameOf('Berlin_2'), 'pgkeeper_node_berlin_2');
  assert.ok(isManagedSlot(slotNameOf('n1')));
  assert.ok(!isManagedSlot('for_clone'));
  assert.ok(!isManagedSlot('pgkeeper_copy_17'));
});

test('every other name is mapped to a legal one of its own, always the same', () => {
  const longest = 'x'.repeat(63);
  const odd = [
    'db-1',
    'db.1',
    'db 1',
    'db_1',
    `${longest.slice(1)}y`,
    longest,
    'x'.repeat(49),
    'x'.repeat(50),
    '-',
    '--',
    "o'n",
  ];
  const slots = odd.map(slotNameOf);
  for (const slot of slots) assert.match(slot, /^[a-z0-9_]{1,63}$/);
  assert.equal(new Set(slots).size, odd.length);
  assert.equal(slotNameOf('db_1'), 'pgkeeper_node_db_1');
  assert.equal(slotNameOf('x'.repeat(49)).length, 63);
  assert.match(slotNameOf('db-1'), /^pgkeeper_node_db_1_[0-9a-f]{8}$/);
  assert.equal(slotNameOf('DB-1'), slotNameOf('db-1'));
});

function slot(node: string, changes: Partial<Slot> = {}): Slot {
  return {
    name: slotNameOf(node),
    active: false,
    lost: false,
    holdsRows: false,
    restart: lsn(100),
    ...changes,
  };
}

function standby(changes: Partial<OwnSlotLook> = {}): OwnSlotLook {
  return {
    inRecovery: true,
    slots: [slot('n1'), slot('n3')],
    streams: new Map(),
    nodes: ['n1', 'n2', 'n3'],
    master: 'n1',
    redo: lsn(100),
    streamsBy: slotNameOf('n2'),
    receives: true,
    ...changes,
  };
}

function master(changes: Partial<SlotLook> = {}): SlotLook {
  return {
    inRecovery: false,
    slots: [slot('n2', { active: true }), slot('n3')],
    streams: new Map([['n2', lsn(200)]]),
    ...changes,
  };
}

const onStandby = (
  own: Partial<OwnSlotLook> = {},
  there: Partial<SlotLook> | null = {},
  manages = true,
  isEverywhere = true,
) => planSlots(standby(own), there === null ? null : master(there), { name: 'n2', manages, isEverywhere });

const onMaster = (own: Partial<OwnSlotLook>, manages = true) =>
  planSlots(
    standby({ inRecovery: false, slots: [slot('n2'), slot('n3')], streamsBy: '', receives: false, ...own }),
    null,
    { name: 'n1', manages, isEverywhere: true },
  );

test('where everything is right nothing is done', () => {
  assert.deepEqual(onStandby(), []);
  assert.deepEqual(onMaster({}), []);
});

test('a missing slot is made, a lost one made anew unless somebody still uses it', () => {
  assert.deepEqual(onMaster({ slots: [slot('n3')] }), [{ kind: 'make', slot: slotNameOf('n2') }]);
  assert.deepEqual(onStandby({ slots: [] }, null), [
    { kind: 'make', slot: slotNameOf('n1') },
    { kind: 'make', slot: slotNameOf('n3') },
  ]);
  assert.deepEqual(onMaster({ slots: [slot('n2'), slot('n3', { lost: true, restart: null })] }), [
    { kind: 'remake', slot: slotNameOf('n3'), since: 'lost' },
  ]);
  assert.deepEqual(onMaster({ slots: [slot('n2'), slot('n3', { lost: true, active: true })] }), []);
});

test('the slots of nodes that are not registered are dropped when nobody uses them', () => {
  assert.deepEqual(onMaster({ nodes: ['n1', 'n2'] }), [{ kind: 'drop', slot: slotNameOf('n3') }]);
  assert.deepEqual(onMaster({ nodes: ['n1', 'n2'], slots: [slot('n2'), slot('n3', { active: true })] }), []);
});

test('on the master a node that streams without its slot takes it along; one that is away keeps its WAL', () => {
  const streams = new Map([['n2', lsn(300)]]);
  assert.deepEqual(onMaster({ streams }), [{ kind: 'advance', slot: slotNameOf('n2'), to: lsn(300) }]);
  assert.deepEqual(onMaster({ streams, slots: [slot('n2', { active: true }), slot('n3')] }), []);
  assert.deepEqual(onMaster({ streams: new Map([['n2', lsn(50)]]) }), [], 'never back');
});

test('a standby moves its slots to where the master has them, and the one of the master to its last checkpoint', () => {
  const there = { slots: [slot('n2', { active: true }), slot('n3', { restart: lsn(180) })] };
  assert.deepEqual(onStandby({ redo: lsn(150) }, there), [
    { kind: 'advance', slot: slotNameOf('n1'), to: lsn(150) },
    { kind: 'advance', slot: slotNameOf('n3'), to: lsn(180) },
  ]);
  assert.deepEqual(onStandby({ redo: lsn(150) }, null), [
    { kind: 'advance', slot: slotNameOf('n1'), to: lsn(150) },
  ]);
  assert.deepEqual(onStandby({ redo: lsn(100) }, { ...there, inRecovery: true }), [], 'that is no master');
});

test('where the master keeps nothing for a node, a standby does not for ever either', () => {
  const without = { slots: [slot('n2', { active: true }), slot('n3', { lost: true })] };
  const moved = (to: number) => [{ kind: 'advance', slot: slotNameOf('n3'), to: lsn(to) }];
  assert.deepEqual(
    onStandby({ slots: [slot('n1', { active: true }), slot('n3')], redo: lsn(150) }, without),
    moved(150),
  );
  const streams = new Map([
    ['n2', lsn(200)],
    ['n3', lsn(190)],
  ]);
  const own = { slots: [slot('n1', { active: true }), slot('n3')], redo: lsn(150) };
  assert.deepEqual(onStandby(own, { ...without, streams }), moved(190));
});

test('rows that a slot holds are let go of by a server that is no master any more', () => {
  const slots = [slot('n1'), slot('n3', { holdsRows: true })];
  const made = { kind: 'remake', slot: slotNameOf('n3'), since: 'holds-rows' };
  assert.deepEqual(onStandby({ slots }), [made]);
  assert.deepEqual(onStandby({ slots }, null), [made]);
  assert.deepEqual(onMaster({ slots: [slot('n2'), slot('n3', { holdsRows: true })] }), []);
});

test('a standby streams by its slot as soon as the master it streams from has it', () => {
  const take = [{ kind: 'stream-by', slot: slotNameOf('n2') }];
  const there = { slots: [slot('n2'), slot('n3')] };
  assert.deepEqual(onStandby({ streamsBy: '' }, there), take);
  assert.deepEqual(
    onStandby({ streamsBy: slotNameOf('n9') }, there),
    take,
    'the name came along with a copy',
  );
  assert.deepEqual(onStandby({ streamsBy: '' }, null), []);
  assert.deepEqual(onStandby({ streamsBy: '' }), [], 'somebody else streams by it');
  assert.deepEqual(
    onStandby({ streamsBy: '' }, { ...there, streams: new Map() }),
    [],
    'it follows another server',
  );
  assert.deepEqual(onStandby({ streamsBy: '' }, { slots: [slot('n2', { lost: true }), slot('n3')] }), []);
});

test('a slot that the master does not have is given up, or the standby would not stream', () => {
  const none = [{ kind: 'stream-by', slot: '' }];
  assert.deepEqual(onStandby({ receives: false }, { slots: [slot('n3')] }), none);
  assert.deepEqual(onStandby({ receives: false }, { slots: [slot('n2', { lost: true }), slot('n3')] }), none);
  assert.deepEqual(onStandby({ receives: true }, { slots: [slot('n3')] }), [], 'another server has it');
  assert.deepEqual(onStandby({ receives: false }, null), []);
});

test("a slot of somebody's own is left alone", () => {
  const there = { slots: [slot('n2'), slot('n3')] };
  assert.deepEqual(onStandby({ streamsBy: 'mine' }, there), []);
  assert.deepEqual(onStandby({ streamsBy: 'mine', slots: [] }, null, false), []);
});

test('a node that is removed, or manages no slots, leaves its slot and drops what it has', () => {
  const left = [
    { kind: 'drop', slot: slotNameOf('n1') },
    { kind: 'drop', slot: slotNameOf('n3') },
    { kind: 'stream-by', slot: '' },
  ];
  assert.deepEqual(onStandby({}, {}, false), left);
  assert.deepEqual(onStandby({ nodes: ['n1', 'n3'] }, null), left);
  assert.deepEqual(onStandby({ nodes: [] }, null), left, 'the registry is gone');
  assert.deepEqual(onMaster({ streamsBy: slotNameOf('n1') }, false).at(-1), left[2]);
});

test('nobody streams by a slot that is not on every node: whoever leads next might have none', () => {
  const without = { streamsBy: '' };
  const there = { slots: [slot('n2'), slot('n3')] };
  assert.deepEqual(onStandby(without, there), [{ kind: 'stream-by', slot: slotNameOf('n2') }]);
  assert.deepEqual(onStandby(without, there, true, false), []);
  assert.deepEqual(onStandby({}, {}, true, false), [], 'one that does already goes on');
});
