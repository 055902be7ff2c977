/** What the server said to a command's statement -> a message with its hints and an exit code. */
import { classifyFailure } from '../postgres/failure.js';
import { inCommandWords } from './command-words.js';
import { CommandFailure, type ExitCode, exitCodes } from './exit-codes.js';

const bySqlState: Readonly<Record<string, ExitCode>> = {
  // The registry's functions refuse with these, see extension/sql.
  '55000': exitCodes.refused,
  '25006': exitCodes.refused,
  // A name or a server that is registered already.
  '42710': exitCodes.refused,
  '22023': exitCodes.usage,
  '22004': exitCodes.usage,
  '42622': exitCodes.usage,
  '42939': exitCodes.usage,
  '55P03': exitCodes.timeout,
  '57014': exitCodes.timeout,
  '57P01': exitCodes.cannotConnect,
};

function exitCodeOf(sqlState: string): ExitCode {
  // Class 08: the function could not reach another server.
  return bySqlState[sqlState] ?? (sqlState.startsWith('08') ? exitCodes.cannotConnect : exitCodes.failed);
}

/** A role that only reads the views needs less. */
export const grantsHint =
  'Use a superuser, or a role that was given the grants of deploy/grants.sql (for the views in SQL alone those of docs/operations.md, "Monitoring").';

const missingObject: ReadonlySet<string> = new Set(['3F000', '42P01', '42883']);

export function sqlFailure(error: unknown): CommandFailure {
  if (error instanceof CommandFailure) return error;
  const { code, detail, hint } = error as { code?: unknown; detail?: unknown; hint?: unknown };
  const sqlState = typeof code === 'string' ? code : '';
  const { kind, message } = classifyFailure(error);
  const hints = [detail, hint]
    .filter((text): text is string => typeof text === 'string' && text !== '')
    .map(inCommandWords);
  if (missingObject.has(sqlState) && /pgkeeper/.test(message)) {
    return new CommandFailure(exitCodes.failed, 'the pgkeeper objects are not in this database', [
      'If they are in another database, name it with -d.',
      'To install them, on the master: CREATE EXTENSION pg_keeper CASCADE; or: pgkeeper migrate -d ...',
      'If they are here, they are older than this program: ALTER EXTENSION pg_keeper UPDATE; or: pgkeeper migrate -d ...',
    ]);
  }
  // The functions that look at another server say themselves which right is missing there.
  if (kind === 'privilege' && hints.length === 0) hints.push(grantsHint);
  return new CommandFailure(exitCodeOf(sqlState), inCommandWords(message), hints);
}
