/** `pgkeeper guard`: started by the worker of a master, not by people. */
import { createLogger } from '../logging.js';
import { runGuard } from '../process/guard.js';
import { type ExitCode, exitCodes } from './exit-codes.js';

export interface GuardCommandOptions {
  readonly dataDirectory: string;
  readonly nodeName: string;
}

export async function runGuardCommand(options: GuardCommandOptions): Promise<ExitCode> {
  const { dataDirectory, nodeName } = options;
  process.title = `pg_keeper: ${nodeName} (guard)`;
  // It goes when the worker stands it down; a signal to the worker's group must not take it along.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
  const logger = createLogger('info', nodeName, process.stdout.isTTY === true);
  await runGuard({ dataDirectory, log: (reason, message) => logger.warn({ reason }, message) });
  return exitCodes.done;
}
