/** Virtual time: a queue of what happens next. True time in ms; every host has its own clock on top (host.ts). */
import type { Random } from './random.js';

interface Entry {
  readonly at: number;
  readonly order: number;
  readonly action: () => void;
}

export class World {
  now = 0;
  readonly random: Random;
  /** Lines of the transcript; null while nobody reads them. */
  readonly transcript: string[] | null;
  /** Events done so far. */
  count = 0;
  limit = 20_000_000;
  readonly #heap: Entry[] = [];
  #order = 0;

  constructor(random: Random, recording: boolean) {
    this.random = random;
    this.transcript = recording ? [] : null;
  }

  /** Nothing is ever cancelled: actions check for themselves whether they still matter. */
  at(at: number, action: () => void): void {
    const heap = this.#heap;
    const entry: Entry = { at: Math.max(at, this.now), order: this.#order++, action };
    let i = heap.length;
    heap.push(entry);
    while (i > 0) {
      const above = (i - 1) >> 1;
      const parent = heap[above] as Entry;
      if (parent.at < entry.at || (parent.at === entry.at && parent.order < entry.order)) break;
      heap[i] = parent;
      i = above;
    }
    heap[i] = entry;
  }

  after(ms: number, action: () => void): void {
    this.at(this.now + ms, action);
  }

  #pop(): Entry | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return top;
    const { length } = heap;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= length) break;
      let least = heap[child] as Entry;
      const right = heap[child + 1];
      if (
        right !== undefined &&
        (right.at < least.at || (right.at === least.at && right.order < least.order))
      ) {
        child += 1;
        least = right;
      }
      if (last.at < least.at || (last.at === least.at && last.order < least.order)) break;
      heap[i] = least;
      i = child;
    }
    heap[i] = last;
    return top;
  }

  runUntil(until: number): void {
    for (;;) {
      const next = this.#heap[0];
      if (next === undefined || next.at > until) break;
      this.#pop();
      this.now = next.at;
      this.count += 1;
      if (this.count > this.limit) throw new Error(`more than ${this.limit} events: something spins`);
      next.action();
    }
    this.now = until;
  }

  say(who: string, what: string): void {
    this.transcript?.push(`${(this.now / 1000).toFixed(3).padStart(10)}  ${who.padEnd(8)} ${what}`);
  }
}
