/** Processes of a server: what they do later, that they can be frozen, that a new start knows nothing of an old one. */
import type { World } from './world.js';

export abstract class Execution {
  readonly name: string;
  readonly world: World;
  /** Which start of the server this is. */
  incarnation = 0;
  frozen = false;
  /** When it last went on after a freeze. */
  thawedAt = Number.NEGATIVE_INFINITY;
  #backlog: { readonly isTimer: boolean; readonly action: () => void }[] = [];

  constructor(name: string, world: World) {
    this.name = name;
    this.world = world;
  }

  say(what: string): void {
    this.world.say(`${this.name} pg`, what);
  }

  /** Every process is gone. */
  protected forget(): void {
    this.incarnation += 1;
    this.frozen = false;
    this.#backlog = [];
  }

  /** Something a process of this incarnation does later; a frozen server does it when it goes on. */
  at(when: number, action: () => void): void {
    const { incarnation } = this;
    const run = () => {
      if (this.incarnation !== incarnation) return;
      if (this.frozen) this.#backlog.push({ isTimer: true, action: run });
      else action();
    };
    this.world.at(when, run);
  }

  after(ms: number, action: () => void): void {
    this.at(this.world.now + ms, action);
  }

  /** A message for one of this server's processes. */
  receiveMessage(action: () => void): void {
    if (this.frozen) {
      const { incarnation } = this;
      const run = () => {
        if (this.incarnation === incarnation) action();
      };
      this.#backlog.push({ isTimer: false, action: run });
    } else action();
  }

  freeze(): void {
    if (this.frozen) return;
    this.frozen = true;
    this.say('frozen');
  }

  thaw(): void {
    if (!this.frozen) return;
    this.frozen = false;
    this.thawedAt = this.world.now;
    this.say('goes on');
    const backlog = this.#backlog;
    this.#backlog = [];
    // Messages of one connection stay in order; whether timers or sockets come first is anybody's guess.
    const timersFirst = this.world.random.chance(0.5);
    for (const { isTimer, action } of backlog)
      this.world.after(isTimer === timersFirst ? 0.01 : 0.02, action);
  }
}
