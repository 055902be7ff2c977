/** Which core runs in which clusters: the real one as the seed says, or a mutation, or the real one where a mutation would show. */
import { Worker } from '../../src/worker/worker.js';
import { mutatedCore } from './mutated-core.js';
import { mutationNamed, optionsFor, replacementsOf } from './mutations.js';
import type { RunOptions } from './run.js';

export interface Variant {
  /** Part of a mutation's name; null = none. */
  readonly mutation: string | null;
  readonly like: string | null;
}

export interface Prepared {
  optionsOf(seed: number): RunOptions;
  remove(): void;
}

export async function prepare({ mutation, like }: Variant): Promise<Prepared> {
  const model = mutation ?? like;
  const found = model === null ? null : mutationNamed(model);
  const mutated = mutation === null || found === null ? null : await mutatedCore(replacementsOf(found));
  const workerClass = mutated?.workerClass ?? Worker;
  return {
    optionsOf: (seed) => ({
      ...(found === null ? { seed } : optionsFor(found, seed)),
      ...(mutation === null || found?.inModel === undefined ? {} : { prepare: found.inModel }),
      workerClass,
    }),
    remove: () => mutated?.remove(),
  };
}

/** What to type to see that run again. */
export function replayLine(
  seed: number,
  { mutation, like }: Variant,
  only?: readonly number[],
  operations?: readonly number[],
): string {
  const parts = [`npm run soak -- --seed ${seed}`];
  if (mutation !== null) parts.push(`--mutation '${mutation}'`);
  if (like !== null) parts.push(`--like '${like}'`);
  if (only !== undefined) parts.push(`--only ${only.join(',') || '-'}`);
  if (operations !== undefined) parts.push(`--operations ${operations.join(',') || '-'}`);
  return parts.join(' ');
}
