/**
 * The order of changes of the synchronous set. The server asks `needed` acknowledgements of C, the registry says k of R:
 * whatever step a change is interrupted after, C is a subset of R and k of R never more than what is asked for.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { SyncRow } from '../../src/core/effects.js';
import type { Wish } from '../../src/core/master-state.js';
import { desiredSync, isSameSync, nextSyncStep, resolveWish } from '../../src/core/sync/sync-plan.js';

const nodes = ['n1', 'n2', 'n3', 'n4', 'n5'];
const voters = nodes.map((name, i) => ({
  name,
  kind: 'node' as const,
  conninfo: '',
  database: 'd',
  seqno: i,
}));

interface InEffect {
  readonly c: readonly string[];
  readonly asked: number;
}

/** What the server's setting asks for when a row is in force; nothing is asked when degraded or off. */
function settingOf(row: SyncRow): InEffect {
  return { c: row.needed === 0 ? [] : row.members, asked: row.needed };
}

/** Under hold nothing is acknowledged, which no set can contradict. */
function assertSafe(registry: SyncRow, setting: InEffect | 'hold'): void {
  if (setting === 'hold' || registry.needed === 0) return;
  assert.ok(
    setting.c.every((name) => registry.members.includes(name)),
    `${setting.c} of ${registry.members}`,
  );
  assert.ok(registry.needed <= setting.asked, `${registry.needed} <= ${setting.asked}`);
}

const rows: fc.Arbitrary<SyncRow> = fc
  .record({
    members: fc.subarray(nodes.slice(1)),
    wished: fc.integer({ min: 0, max: 3 }),
    needed: fc.integer({ min: 0, max: 3 }),
  })
  .map(({ members, wished, needed }) => ({
    wish: 'w',
    members: wished === 0 ? [] : members,
    wished,
    needed: wished === 0 ? 0 : Math.min(needed, wished, members.length),
  }));

test('a change may stop after any of its steps', () => {
  fc.assert(
    fc.property(rows, rows, (from, to) => {
      let registry = from;
      let setting: InEffect | 'hold' = settingOf(from);
      for (let steps = 0; ; steps++) {
        assertSafe(registry, setting);
        const step = nextSyncStep(registry, to);
        if (step === null) break;
        assert.ok(steps < 4, 'a plan ends');
        if (step.path === 'under-hold') {
          setting = 'hold';
          assertSafe(registry, setting);
        }
        registry = step.target;
        assertSafe(registry, setting);
        setting = settingOf(registry);
        assertSafe(registry, setting);
      }
      assert.ok(isSameSync(registry, to));
    }),
    { numRuns: 2000 },
  );
});

test('to what is there already leads no step', () => {
  fc.assert(fc.property(rows, (row) => assert.equal(nextSyncStep(row, row), null)));
});

test('lost members leave, returned ones come back, and with nobody left R stays on record', () => {
  const wish: Wish = {
    kind: 'wish',
    text: 'ANY 1 (n2, n3)',
    method: 'quorum',
    needed: 1,
    members: ['n2', 'n3'],
  };
  const current: SyncRow = { wish: wish.text, members: ['n2', 'n3'], needed: 1, wished: 1 };
  const seen = (streaming: readonly string[], lost: readonly string[]) => ({
    streams: (name: string) => streaming.includes(name),
    lost: (name: string) => lost.includes(name),
    registered: () => true,
  });
  assert.deepEqual(desiredSync(current, wish, seen(['n3'], ['n2'])).members, ['n3']);
  const degraded = desiredSync(current, wish, seen([], ['n2', 'n3']));
  assert.deepEqual(degraded, { ...current, needed: 0 });
  assert.deepEqual(desiredSync(degraded, wish, seen(['n2'], ['n3'])), {
    ...current,
    members: ['n2'],
    needed: 1,
  });
});

test('a wish that names this master means the former one now; `*` is refused', () => {
  const wish = resolveWish('FIRST 1 (n2, n3)', 'n2', 'n1', voters);
  assert.equal(wish.kind, 'wish');
  assert.deepEqual(wish.kind === 'wish' ? wish.members : [], ['n1', 'n3']);
  assert.equal(resolveWish('*', 'n1', null, voters).kind, 'refused');
  assert.equal(resolveWish('ANY 1 (n2', 'n1', null, voters).kind, 'refused');
});
