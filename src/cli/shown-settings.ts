/** Settings as the worker's log has them. */
import { placeOf } from '../core/conninfo.js';
import type { Settings } from '../settings/settings.js';

/** For the log: everything but what may hold a password, the conninfos and the text of commands. */
export function shownSettings(settings: Settings): Readonly<Record<string, unknown>> {
  const isSet = (value: unknown, key: string) => (key.endsWith('Command') ? value !== '' : value);
  const pgbouncer = settings.pgbouncer.map(placeOf);
  return Object.fromEntries(
    Object.entries({ ...settings, pgbouncer })
      .filter(([key]) => key !== 'ownConninfo')
      .map(([key, value]) => [key, isSet(value, key)]),
  );
}
