/** Events wait here in order; a wake is never queued twice. A full mailbox is a bug, not a load problem. */
import type { KeeperEvent } from '../core/events.js';

const capacity = 10_000;

export class Mailbox {
  readonly #events: KeeperEvent[] = [];
  #wakePending = false;

  put(event: KeeperEvent): void {
    if (event.kind === 'wake') {
      if (this.#wakePending) return;
      this.#wakePending = true;
    }
    if (this.#events.length >= capacity) throw new Error(`invariant: mailbox holds ${capacity} events`);
    this.#events.push(event);
  }

  take(): KeeperEvent | undefined {
    const event = this.#events.shift();
    if (event?.kind === 'wake') this.#wakePending = false;
    return event;
  }
}
