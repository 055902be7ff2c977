/**
 * A data directory held by a descriptor: it stays the one that was meant when it is renamed or its path leads elsewhere, as
 * long as this process lives. Linux only.
 */
import { closeSync, fstatSync, openSync } from 'node:fs';

export class HeldDirectory {
  readonly #descriptor: number;

  /** Throws where there is none. */
  constructor(path: string) {
    this.#descriptor = openSync(path, 'r');
  }

  /** Leads to it whatever it is called by now. */
  get path(): string {
    return `/proc/self/fd/${this.#descriptor}`;
  }

  /** Nothing can be written there any more. */
  isDeleted(): boolean {
    return fstatSync(this.#descriptor).nlink === 0;
  }

  release(): void {
    closeSync(this.#descriptor);
  }
}
