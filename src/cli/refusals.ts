/** Everything that stands against a command, told together: who mends one thing and begins again should not meet the next. */
import { CommandFailure, type ExitCode, exitCodes } from './exit-codes.js';

/** What must be mended on the command line comes first; then what is refused; then who did not answer. */
const order: readonly ExitCode[] = [exitCodes.usage, exitCodes.refused, exitCodes.cannotConnect];

export class Refusals {
  readonly #found: CommandFailure[] = [];

  get count(): number {
    return this.#found.length;
  }

  add(failure: CommandFailure): void {
    this.#found.push(failure);
  }

  /** A part of the preparation: what it refuses is kept, and null is its value then. Whatever else is thrown is no refusal. */
  async gather<T>(part: () => T | Promise<T>): Promise<T | null> {
    try {
      return await part();
    } catch (error) {
      if (!(error instanceof CommandFailure)) throw error;
      this.add(error);
      return null;
    }
  }

  /** The values of the parts, of which none is null where nothing was refused. Throws everything that was. */
  complete<T extends object>(values: T, what: string): { readonly [K in keyof T]: NonNullable<T[K]> } {
    const [only, ...others] = this.#found;
    if (only !== undefined) throw others.length === 0 ? only : together(this.#found, what);
    return values as { readonly [K in keyof T]: NonNullable<T[K]> };
  }
}

function together(found: readonly CommandFailure[], what: string): CommandFailure {
  const exitCode = order.find((code) => found.some((one) => one.exitCode === code)) ?? exitCodes.failed;
  return new CommandFailure(
    exitCode,
    `${found.length} things stand against ${what}:`,
    found.flatMap(({ message, hints }) => [`- ${message}`, ...hints.map((hint) => `  ${hint}`)]),
  );
}
