/** `pgkeeper migrate`: installs the objects on a master whose file system is out of reach, or takes them away. */
import { clientConfigOf } from '../postgres/connect.js';
import { type MigrationOutcome, migrateDown, migrateUp } from '../postgres/migrations.js';
import { type ConnectionOptions, conninfoOf } from './connection-options.js';
import { CommandFailure, type ExitCode, exitCodes } from './exit-codes.js';
import { printJson, say } from './output.js';
import { connectionFailure, connectTimeoutMs, hostsOf } from './session.js';
import { sqlFailure } from './sql-failure.js';

export interface MigrateOptions extends ConnectionOptions {
  readonly down?: boolean;
  readonly json?: boolean;
}

export async function runMigrate(options: MigrateOptions): Promise<ExitCode> {
  const [conninfo = ''] = hostsOf(conninfoOf(options));
  const connection = await clientConfigOf(conninfo, {
    applicationName: 'pgkeeper migrate',
    connectTimeoutMs: connectTimeoutMs(conninfo),
  }).catch((error: unknown) => {
    throw connectionFailure(conninfo, error);
  });
  const run = options.down === true ? migrateDown : migrateUp;
  const outcome = await run({ connection }).catch((error: unknown) => {
    throw sqlFailure(error);
  });
  return report(outcome, options);
}

function report(outcome: MigrationOutcome, options: MigrateOptions): ExitCode {
  if (outcome.kind === 'refused') throw new CommandFailure(exitCodes.refused, outcome.reason, [outcome.mend]);
  if (options.json === true) printJson(outcome);
  if (outcome.kind === 'nothing-to-do') say('nothing to do');
  else if (options.down === true) say(`removed: ${outcome.migrations.join(', ')}`);
  else {
    say(`installed: ${outcome.migrations.join(', ')}`);
    say('next: pgkeeper add-node NAME CONNINFO, the master first');
  }
  return exitCodes.done;
}
