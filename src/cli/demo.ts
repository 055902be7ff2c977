/** `pgkeeper demo`: to be written. */
import { CommandFailure, type ExitCode, exitCodes } from './exit-codes.js';

export async function runDemo(_options: unknown): Promise<ExitCode> {
  throw new CommandFailure(exitCodes.failed, 'the demo is not part of this build yet');
}
