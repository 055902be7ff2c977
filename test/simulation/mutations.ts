/**
 * Deliberate mistakes, each the removal of one rule of the protocol, and what must notice it. A checker that lets one of
 * them pass is worth nothing. Texts are those of the compiled core. Run by mutations.test.ts.
 */
import type { Replacement } from './mutated-core.js';
import { type Mutation, noGuard } from './mutation.js';
import { mutationsOfData } from './mutations-of-data.js';
import { mutationsOfPlannedWork } from './mutations-of-planned-work.js';
import { mutationsOfRest } from './mutations-of-rest.js';
import { mutationsOfVotes } from './mutations-of-votes.js';
import { type RunOptions, topologyOf } from './run.js';

export const mutations: readonly Mutation[] = [
  ...mutationsOfVotes,
  ...mutationsOfData,
  ...mutationsOfRest,
  ...mutationsOfPlannedWork,
];

export function mutationNamed(text: string): Mutation {
  const found = mutations.find(({ name }) => name.includes(text));
  if (found === undefined) throw new Error(`no mutation has '${text}' in its name`);
  return found;
}

/** Everything that is replaced in the core for it. */
export function replacementsOf({ replacements, unguarded }: Mutation): readonly Replacement[] {
  return unguarded === true ? [...replacements, ...noGuard] : replacements;
}

/** A run in which that mistake shows sooner than in any other cluster. */
export function optionsFor(mutation: Mutation, seed: number): Omit<RunOptions, 'workerClass'> {
  const drawn = topologyOf(seed);
  const nodes = mutation.nodes ?? drawn.nodes;
  const names = Array.from({ length: nodes }, (_, i) => `n${i + 1}`).join(', ');
  const wishes = { off: '', one: `ANY 1 (${names})`, two: `ANY 2 (${names})` };
  const wish = mutation.wish === undefined ? `ANY 1 (${names})` : wishes[mutation.wish];
  const latencyMs = mutation.latencyMs ?? drawn.latencyMs;
  return {
    seed,
    topology: { ...drawn, nodes, wish, latencyMs, settings: { ...drawn.settings, ...mutation.settings } },
    plan: {
      bursts: 5,
      ambushes: 10,
      quiet: null,
      ...(mutation.kinds === undefined ? {} : { kinds: mutation.kinds }),
      ...(mutation.aims === undefined ? {} : { aims: mutation.aims }),
      ...(mutation.ambushCodes === undefined ? {} : { ambushCodes: mutation.ambushCodes }),
    },
    ...(mutation.operations === undefined ? {} : { operationKinds: mutation.operations }),
  };
}
