/** Virtual time: a queue of what happens next. True time in ms; every host has its own clock on top (host.ts). */
import type { Random } from './random.js';

/** Children of a place in the heap: a flat one takes fewer steps, and the times lie side by side. */
const arity = 4;

export class World {
  now = 0;
  readonly random: Random;
  /** Lines of the transcript; null while nobody reads them. */
  readonly transcript: string[] | null;
  /** Events done so far. */
  count = 0;
  limit = 2_000_000;
  /** Nothing more happens: there is a verdict, and nobody wants to see the rest. */
  halted = false;
  #times = new Float64Array(1024);
  #orders = new Float64Array(1024);
  readonly #actions: (() => void)[] = [];
  #order = 0;

  constructor(random: Random, recording: boolean) {
    this.random = random;
    this.transcript = recording ? [] : null;
  }

  /** Nothing is ever cancelled: actions check for themselves whether they still matter. */
  at(at: number, action: () => void): void {
    let i = this.#actions.length;
    if (i === this.#times.length) this.#grow();
    this.#actions.push(action);
    const times = this.#times;
    const when = Math.max(at, this.now);
    // Later than all there is of the same time, so that only earlier times are passed.
    while (i > 0) {
      const parent = ((i - 1) / arity) | 0;
      if ((times[parent] as number) <= when) break;
      this.#move(parent, i);
      i = parent;
    }
    times[i] = when;
    this.#orders[i] = this.#order++;
    this.#actions[i] = action;
  }

  #move(from: number, to: number): void {
    this.#times[to] = this.#times[from] as number;
    this.#orders[to] = this.#orders[from] as number;
    this.#actions[to] = this.#actions[from] as () => void;
  }

  #grow(): void {
    const times = new Float64Array(2 * this.#times.length);
    const orders = new Float64Array(2 * this.#times.length);
    times.set(this.#times);
    orders.set(this.#orders);
    this.#times = times;
    this.#orders = orders;
  }

  after(ms: number, action: () => void): void {
    this.at(this.now + ms, action);
  }

  /** Takes the first one out: the last one sinks from the top. */
  #take(): () => void {
    const actions = this.#actions;
    const times = this.#times;
    const orders = this.#orders;
    const top = actions[0] as () => void;
    const last = actions.pop() as () => void;
    const { length } = actions;
    if (length === 0) return top;
    const when = times[length] as number;
    const order = orders[length] as number;
    let i = 0;
    for (;;) {
      const first = arity * i + 1;
      if (first >= length) break;
      let least = first;
      let leastAt = times[first] as number;
      const end = Math.min(first + arity, length);
      for (let child = first + 1; child < end; child++) {
        const at = times[child] as number;
        if (at < leastAt || (at === leastAt && (orders[child] as number) < (orders[least] as number))) {
          least = child;
          leastAt = at;
        }
      }
      if (when < leastAt || (when === leastAt && order < (orders[least] as number))) break;
      this.#move(least, i);
      i = least;
    }
    times[i] = when;
    orders[i] = order;
    actions[i] = last;
    return top;
  }

  runUntil(until: number): void {
    for (;;) {
      if (this.#actions.length === 0 || this.halted) break;
      const at = this.#times[0] as number;
      if (at > until) break;
      this.now = at;
      this.count += 1;
      if (this.count > this.limit) throw new Error(`more than ${this.limit} events: something spins`);
      this.#take()();
    }
    this.now = until;
  }

  say(who: string, what: string): void {
    this.transcript?.push(`${(this.now / 1000).toFixed(3).padStart(10)}  ${who.padEnd(8)} ${what}`);
  }
}
