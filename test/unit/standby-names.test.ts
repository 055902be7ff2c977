/** The grammar of synchronous_standby_names. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatStandbyNames, isSameName, parseStandbyNames } from '../../src/core/sync/standby-names.js';

function parsed(text: string) {
  const result = parseStandbyNames(text);
  assert.equal(result.kind, 'parsed', JSON.stringify(result));
  return result.kind === 'parsed' ? result.value : undefined;
}

test('every form that PostgreSQL takes is read', () => {
  assert.deepEqual(parsed(''), { method: 'priority', needed: 0, names: [] });
  assert.deepEqual(parsed('n1'), { method: 'priority', needed: 1, names: ['n1'] });
  assert.deepEqual(parsed('n1, n2'), { method: 'priority', needed: 1, names: ['n1', 'n2'] });
  assert.deepEqual(parsed('2 (a, b, c)'), { method: 'priority', needed: 2, names: ['a', 'b', 'c'] });
  assert.deepEqual(parsed('first 2 (a, b)'), { method: 'priority', needed: 2, names: ['a', 'b'] });
  assert.deepEqual(parsed('ANY 1 ("any", "Node-2")'), {
    method: 'quorum',
    needed: 1,
    names: ['any', 'Node-2'],
  });
  assert.deepEqual(parsed('*'), { method: 'priority', needed: 1, names: ['*'] });
});

test('what PostgreSQL refuses is refused with a reason', () => {
  for (const text of ['ANY 1 (n1', 'n1,', 'n1 n2', 'ANY 0 (n1)', '2 ()', 'n1;', '"n1']) {
    const result = parseStandbyNames(text);
    assert.equal(result.kind, 'problem', text);
    assert.ok(result.kind === 'problem' && result.message.length > 5);
  }
});

test('what is written is read back the same, whatever the names', () => {
  const name = fc
    .string({ minLength: 1, maxLength: 20, unit: 'grapheme' })
    .filter((text) => !text.includes('\0'));
  fc.assert(
    fc.property(
      fc.constantFrom('priority' as const, 'quorum' as const),
      fc.array(name, { minLength: 1, maxLength: 5 }),
      (method, names) => {
        const value = { method, needed: 1, names: names.filter((text) => text !== '*') };
        fc.pre(value.names.length > 0);
        assert.deepEqual(parsed(formatStandbyNames(value)), value);
      },
    ),
  );
});

test('names are compared as PostgreSQL does: ASCII letters without regard to case', () => {
  assert.ok(isSameName('Node1', 'nODE1'));
  assert.ok(!isSameName('Ä', 'ä'));
});
