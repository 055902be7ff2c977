/** What the workers of a play decided, and what is done in the very moment of a decision. */
import type { ReasonCode, ReasonRecord } from '../../../src/core/reasons.js';
import type { Cluster } from '../cluster.js';

export interface Decision {
  readonly host: string;
  readonly code: ReasonCode;
  readonly at: number;
  readonly details: ReasonRecord['details'];
}

interface Ambush {
  readonly host: string;
  readonly code: ReasonCode;
  readonly action: () => void;
}

export class Decisions {
  #made: Decision[] = [];
  #ambushes: Ambush[] = [];

  constructor(cluster: Cluster, perform: (action: () => void) => void) {
    cluster.onDecision = ({ name }, text, { details }) => {
      const code = text as ReasonCode;
      this.#made.push({ host: name, code, at: cluster.world.now, details });
      const due = this.#ambushes.filter((ambush) => ambush.host === name && ambush.code === code);
      this.#ambushes = this.#ambushes.filter((ambush) => !due.includes(ambush));
      for (const { action } of due) perform(action);
    };
  }

  ambush(host: string, code: ReasonCode, action: () => void): void {
    this.#ambushes.push({ host, code, action });
  }

  forgetAmbushes(): void {
    this.#ambushes = [];
  }

  forget(): void {
    this.#made = [];
  }

  of(code: ReasonCode, host?: string): readonly Decision[] {
    return this.#made.filter((each) => each.code === code && (host === undefined || each.host === host));
  }
}
