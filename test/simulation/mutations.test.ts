/** Every deliberate mistake is noticed: a checker that lets one pass, or a model that never provokes it, is worth nothing. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import type { WorkerClass } from './host.js';
import { mutatedCore } from './mutated-core.js';
import type { Mutation } from './mutation.js';
import { mutations, optionsFor, replacementsOf } from './mutations.js';
import { run } from './run.js';
import { playNamed } from './scenarios/plays.js';
import { verdictOf } from './scenarios/scenario.js';

/** Tried when no known seed shows it any more, because the model has changed; then record the one that is found. */
const searched = 150;

/** Small delays may save a core without its rule, but not every time. */
const performances = 40;

test('SPEC.md names every mutation at the invariant it shows to be needed, and no other', () => {
  const spec = readFileSync(new URL('../../../src/core/SPEC.md', import.meta.url), 'utf8');
  const table = spec.split('<!-- tests -->')[1]?.split('<!-- /tests -->')[0] ?? '';
  const cells = [...table.matchAll(/^\| (?:I\d+|\([a-z]\)) \|[^|]*\|([^|]*)\|/gm)].map(
    ([, cell = '']) => cell,
  );
  const named = cells.flatMap((cell) => [...cell.matchAll(/"([^"]+)"/g)].map(([, name]) => name));
  assert.deepEqual([...new Set(named)].sort(), mutations.map(({ name }) => name).sort());
});

/** What the checkers said, up to the first report that the mistake explains. */
type Seen = readonly string[];

function play({ play = '', caughtBy, inModel }: Mutation, workerClass: WorkerClass): Seen {
  const seen: string[] = [];
  const scenario = playNamed(play);
  while (seen.length < performances && !caughtBy.includes(seen.at(-1) ?? ''))
    seen.push(verdictOf(scenario, seen.length + 1, workerClass, inModel)?.rule ?? 'nothing');
  return seen;
}

function search(mutation: Mutation, workerClass: WorkerClass, context: TestContext): Seen {
  const { seeds = [], caughtBy } = mutation;
  const seen: string[] = [];
  for (const seed of [...seeds, ...Array.from({ length: searched }, (_, i) => i + 1)]) {
    const { violations } = run({ ...optionsFor(mutation, seed), workerClass, stopAtFirst: true });
    const rule = violations[0]?.rule ?? 'nothing';
    seen.push(rule);
    if (!caughtBy.includes(rule)) continue;
    if (!seeds.includes(seed)) context.diagnostic(`no known seed shows it; seed ${seed} does`);
    break;
  }
  return seen;
}

for (const mutation of mutations) {
  test(`noticed: ${mutation.name}`, async (context) => {
    const { workerClass, remove } = await mutatedCore(replacementsOf(mutation));
    try {
      const seen =
        mutation.play === undefined ? search(mutation, workerClass, context) : play(mutation, workerClass);
      assert.ok(
        mutation.caughtBy.includes(seen.at(-1) ?? ''),
        `expected one of ${mutation.caughtBy.join(', ')}, saw ${[...new Set(seen)].join(', ')}`,
      );
    } finally {
      remove();
    }
  });
}
