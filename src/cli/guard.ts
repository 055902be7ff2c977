/** `pgkeeper guard`: started by the worker of a master, not by people. */
import { createLogger, goOnWithoutReader } from '../logging.js';
import { runGuard } from '../process/guard/guard.js';
import { type ExitCode, exitCodes } from './exit-codes.js';

export interface GuardCommandOptions {
  readonly dataDirectory: string;
  readonly nodeName: string;
}

export async function runGuardCommand(options: GuardCommandOptions): Promise<ExitCode> {
  const { dataDirectory, nodeName } = options;
  process.title = `pg_keeper: ${nodeName} (guard)`;
  goOnWithoutReader();
  const logger = createLogger('info', nodeName, process.stdout.isTTY === true);
  await runGuard({ dataDirectory, log: (reason, message) => logger.warn({ reason }, message) });
  return exitCodes.done;
}
