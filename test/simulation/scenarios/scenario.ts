/** A schedule of the protocol's review as a play: what is done when, what must come of it, and which rule it needs. */
import type { Violation } from '../checkers.js';
import type { Cluster } from '../cluster.js';
import type { WorkerClass } from '../host.js';
import type { Replacement } from '../mutated-core.js';
import type { Setting } from './setting.js';
import { Stage, Unfulfilled } from './stage.js';

/** The core without the rule that answers the schedule. */
export interface Without {
  readonly rule: string;
  readonly replacements: readonly Replacement[];
  /** What the same play then ends in: a checker's report, or what is expected in vain. */
  readonly shows: RegExp;
}

export interface Scenario {
  readonly name: string;
  readonly why: string;
  readonly setting: Setting;
  play(stage: Stage): void;
  /** Missing where the model or the adapter carries the rule, and where a mutation names the play. */
  readonly without?: Without;
}

export const one = (file: string, find: string, replace: string): readonly Replacement[] => [
  { file, find, replace },
];

export interface Performance {
  /** null = all came about. */
  readonly failure: string | null;
  readonly transcript: readonly string[];
}

export function perform(
  scenario: Scenario,
  seed: number,
  workerClass: WorkerClass,
  recording = false,
): Performance {
  const stage = new Stage(scenario.setting, seed, workerClass, recording);
  const transcript = stage.cluster.world.transcript ?? [];
  try {
    stage.begin();
    stage.say(scenario.name);
    scenario.play(stage);
    stage.finish();
    return { failure: null, transcript };
  } catch (error) {
    if (!(error instanceof Unfulfilled)) throw error;
    return { failure: error.message, transcript };
  }
}

/**
 * What the checkers say of a play, whatever else does not come about in it; null = nothing. Where it cannot go on, all is
 * healed and the end is judged.
 */
export function verdictOf(
  scenario: Scenario,
  seed: number,
  workerClass: WorkerClass,
  prepare: (cluster: Cluster) => void = () => undefined,
): Violation | null {
  const stage = new Stage(scenario.setting, seed, workerClass, false, 'checkers');
  prepare(stage.cluster);
  const { violations } = stage.cluster.watcher;
  const unlessUnfulfilled = (action: () => void) => {
    try {
      action();
    } catch (error) {
      if (!(error instanceof Unfulfilled)) throw error;
    }
  };
  unlessUnfulfilled(() => {
    stage.begin();
    scenario.play(stage);
  });
  if (violations.length === 0) unlessUnfulfilled(() => stage.finish());
  return violations[0] ?? null;
}
