/** Delta debugging: the fewest faults and operations of a run's plan that still break the same rule. */
import { type RunOptions, run } from './run.js';

export interface Shrunk {
  readonly only: readonly number[];
  readonly onlyOperations: readonly number[];
}

/** Leaves out parts, half of them at first, single ones at last, as long as `fails` says that it still does. */
export function smallest(
  items: readonly number[],
  fails: (kept: readonly number[]) => boolean,
): readonly number[] {
  let kept = items;
  for (let size = Math.ceil(kept.length / 2); size >= 1; ) {
    let removed = false;
    for (let from = 0; from < kept.length; ) {
      const rest = [...kept.slice(0, from), ...kept.slice(from + size)];
      if (fails(rest)) {
        kept = rest;
        removed = true;
      } else from += size;
    }
    if (size === 1 && !removed) break;
    if (!removed || size > kept.length) size = Math.max(1, Math.floor(size / 2));
    if (kept.length === 0) break;
  }
  return kept;
}

export function shrink(options: RunOptions, rule: string): Shrunk {
  const all = run({ ...options, stopAtFirst: true });
  let now: Shrunk = {
    only: options.only ?? all.faults.map((_, i) => i),
    onlyOperations: options.onlyOperations ?? all.operations.map((_, i) => i),
  };
  const fails = (candidate: Shrunk) =>
    run({ ...options, ...candidate, stopAtFirst: true }).violations.some((found) => found.rule === rule);
  const onlyOperations = smallest(now.onlyOperations, (kept) => fails({ ...now, onlyOperations: kept }));
  now = { ...now, onlyOperations };
  return { ...now, only: smallest(now.only, (kept) => fails({ ...now, only: kept })) };
}
