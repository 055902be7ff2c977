/** Settings with which a worker can do its work, or a failure that tells everything that is wrong. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { missingNodeName } from '../settings/check.js';
import { isLockedOut, type LoadedSettings } from '../settings/load.js';
import type { Settings } from '../settings/settings.js';
import { CommandFailure, exitCodes } from './exit-codes.js';
import { ownCall, strangersHint } from './server-owner.js';
import { unreachable } from './session.js';

export function usableSettings(loaded: LoadedSettings): Settings {
  const { server, ownConninfo, settings } = loaded;
  // A name that is only missing may stand in files that could not be read.
  const mistakes =
    server.kind === 'asked' ? loaded.problems : loaded.problems.filter((one) => one !== missingNodeName);
  if (mistakes.length > 0) {
    const given = loaded.values.get('data_directory')?.text ?? process.env['PGDATA'];
    const hint = loaded.dataDirectory === null ? strangersHint(given, ownCall()) : null;
    throw new CommandFailure(exitCodes.usage, 'settings that cannot be used:', [
      ...mistakes,
      ...[hint ?? []].flat(),
    ]);
  }
  if (server.kind !== 'asked' && isLockedOut(server))
    throw unreachable(ownConninfo, server.failure, loaded.dataDirectory);
  if (server.kind === 'none') {
    const { message } = unreachable(ownConninfo, server.failure);
    throw new CommandFailure(
      exitCodes.cannotConnect,
      `${message}; without it its data directory is not known`,
      [
        'Give the data directory with -D, PGDATA or PGKEEPER_DATA_DIRECTORY, so that the worker can start first.',
      ],
    );
  }
  if (settings === null)
    throw new CommandFailure(exitCodes.usage, 'settings that cannot be used:', loaded.problems);
  if (settings.dataDirectory === null)
    throw new CommandFailure(exitCodes.usage, 'the data directory is not known: this role may not see it', [
      'Give it with -D, or grant the role pg_monitor.',
    ]);
  if (!existsSync(join(settings.dataDirectory, 'PG_VERSION')))
    throw new CommandFailure(
      exitCodes.usage,
      `the data directory ${settings.dataDirectory} is not here, or this user may not read it`,
      [
        'The worker runs on the host of its server, as the user that owns the data directory (or root).',
        ...[strangersHint(settings.dataDirectory, ownCall()) ?? []].flat(),
      ],
    );
  return settings;
}
