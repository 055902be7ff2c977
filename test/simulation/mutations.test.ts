/** Every deliberate mistake is noticed: a checker that lets one pass, or a model that never provokes it, is worth nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mutatedCore } from './mutated-core.js';
import { mutations, optionsFor, replacementsOf } from './mutations.js';
import { run } from './run.js';

/** Tried when no known seed shows it any more, because the model has changed; then record the one that is found. */
const searched = 300;

for (const mutation of mutations) {
  test(`noticed: ${mutation.name}`, async (context) => {
    const mutated = await mutatedCore(replacementsOf(mutation));
    try {
      if (mutation.unnoticed !== undefined) return context.skip(mutation.unnoticed);
      const known = mutation.seeds ?? [];
      const others = Array.from({ length: searched }, (_, i) => i + 1);
      const seen = new Map<string, number>();
      for (const seed of [...known, ...others]) {
        const { violations } = run({
          ...optionsFor(mutation, seed),
          workerClass: mutated.workerClass,
          stopAtFirst: true,
        });
        const [first] = violations;
        if (first === undefined) continue;
        if (mutation.caughtBy.includes(first.rule)) {
          if (!known.includes(seed)) context.diagnostic(`no known seed shows it; seed ${seed} does`);
          return;
        }
        seen.set(first.rule, (seen.get(first.rule) ?? 0) + 1);
      }
      assert.fail(
        `expected one of ${mutation.caughtBy.join(', ')}, saw ${JSON.stringify([...seen])}; one seed again: ` +
          `npm run soak -- --mutation '${mutation.name}' --seed 1`,
      );
    } finally {
      mutated.remove();
    }
  });
}
