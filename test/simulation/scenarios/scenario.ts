/** A schedule of the protocol's review as a play: what is done when, what must come of it, and which rule it needs. */
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
  /** Missing where the model or the adapter carries the rule, not the core. */
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
