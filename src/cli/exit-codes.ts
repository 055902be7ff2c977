/** How a command ends: the exit codes scripts rely on, and the failure that carries one. */

export const exitCodes = {
  done: 0,
  failed: 1,
  /** Wrong usage, which a name that no node has is too, or a setting that cannot be used. */
  usage: 2,
  cannotConnect: 3,
  /** Refused for safety: as things stand it may not be done. The message says what would allow it. */
  refused: 4,
  timeout: 5,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** Ends a command with a message for the operator, not with a stack trace. */
export class CommandFailure extends Error {
  override readonly name = 'CommandFailure';
  readonly exitCode: ExitCode;
  /** Further lines: what to do about it. */
  readonly hints: readonly string[];

  constructor(exitCode: ExitCode, message: string, hints: readonly string[] = []) {
    super(message);
    this.exitCode = exitCode;
    this.hints = hints;
  }
}
