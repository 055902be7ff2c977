/** The clock of one machine: runs a little fast or slow, its wall time may jump, a sleep may stop its monotonic time. */
import type { Clock } from '../../src/ports.js';
import type { World } from './world.js';

export class HostClock implements Clock {
  readonly #world: World;
  /** Runs what is due in the worker's event loop. */
  readonly #run: (action: () => void) => void;
  /** monotonic = base + rate * true time; wall = monotonic + offset. */
  rate = 1;
  #base: number;
  #wallOffset = 1.7e12;
  #wake: { readonly at: number; readonly callback: () => void } | null = null;
  #scheduledAt = Number.POSITIVE_INFINITY;
  readonly #due = () => this.#look();
  readonly #cancel = () => {
    this.#wake = null;
  };

  constructor(world: World, run: (action: () => void) => void) {
    this.#world = world;
    this.#run = run;
    this.#base = world.random.between(0, 1e6);
  }

  monotonicMs(): number {
    return this.#base + this.#world.now * this.rate;
  }

  wallMs(): number {
    return this.#wallOffset + this.monotonicMs();
  }

  /** When this clock will show `monotonicMs`, if the machine does not sleep before. */
  trueTimeOf(monotonicMs: number): number {
    return (monotonicMs - this.#base) / this.rate;
  }

  jumpWall(ms: number): void {
    this.#wallOffset += ms;
  }

  /** The machine slept: nothing ran, monotonic time stood still, wall time went on. */
  loseMonotonic(ms: number): void {
    this.#base -= ms * this.rate;
    this.#wallOffset += ms * this.rate;
  }

  wakeAt(atMs: number, callback: () => void): () => void {
    const at = (atMs - this.#base) / this.rate + this.#world.random.unit();
    this.#wake = { at, callback };
    this.#schedule(at);
    // A worker has one timer: it cancels the last one it set.
    return this.#cancel;
  }

  /** The process is gone, and its timers. */
  forget(): void {
    this.#wake = null;
    this.#scheduledAt = Number.POSITIVE_INFINITY;
  }

  /** The process goes on after a stop: a timer that is due meanwhile fires soon. */
  resume(): void {
    if (this.#wake === null) return;
    this.#scheduledAt = Number.POSITIVE_INFINITY;
    this.#schedule(this.#world.now + (this.#world.random.chance(0.5) ? 0 : 0.02));
  }

  /** One pending look at a time: timers are set anew with nearly every event. */
  #schedule(at: number): void {
    if (this.#scheduledAt <= at) return;
    this.#scheduledAt = at;
    this.#world.at(at, this.#due);
  }

  /** Looks that were overtaken by an earlier one find another time than their own. */
  #look(): void {
    const { now } = this.#world;
    if (this.#scheduledAt > now) return;
    this.#scheduledAt = Number.POSITIVE_INFINITY;
    const wake = this.#wake;
    if (wake === null) return;
    if (wake.at > now) return this.#schedule(wake.at);
    if (this.monotonicMs() < (wake.at - 1) * this.rate + this.#base) return this.#schedule(wake.at);
    this.#wake = null;
    this.#run(wake.callback);
  }
}
