/** A flag for every setting, made from the one table, and the request to load them. */
import { type Command, Option } from 'commander';
import type { LoadRequest } from '../settings/load.js';
import { type Definition, definitions, flagName } from '../settings/settings.js';
import type { SettingEntry } from '../settings/sources.js';
import { type ConnectionOptions, conninfoOf } from './connection-options.js';

export interface SettingsOptions extends ConnectionOptions {
  readonly config?: string;
}

/** Own connection flags say it already; and a command line with passwords is for everybody to read. */
const withoutFlag: ReadonlySet<string> = new Set(['conninfo', 'pgbouncer']);

function flagsOf({ name, value }: Definition): string {
  const short = name === 'data_directory' ? '-D, ' : '';
  return `${short}--${flagName(name)} <${value}>`;
}

export function addSettingsOptions(command: Command): Command {
  command.option('--config <FILE>', "file with lines pg_keeper.NAME = 'VALUE', as in postgresql.conf");
  for (const definition of definitions) {
    if (withoutFlag.has(definition.name)) continue;
    const fallback = definition.fallback ? ` (default ${definition.fallback})` : '';
    command.addOption(new Option(flagsOf(definition), definition.meaning + fallback));
    for (const alias of definition.aliases ?? [])
      command.addOption(new Option(`--${flagName(alias)} <${definition.value}>`).hideHelp());
  }
  return command;
}

/** commander's name of an option: keepalive-time -> keepaliveTime. */
function camelCase(flag: string): string {
  return flag.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}

function flagEntries(options: Readonly<Record<string, unknown>>): readonly SettingEntry[] {
  return definitions.flatMap(({ name, aliases }) =>
    [name, ...(aliases ?? [])].flatMap((spelling) => {
      const flag = flagName(spelling);
      const text = options[camelCase(flag)];
      return typeof text === 'string'
        ? [{ name, text, source: { kind: 'flag' as const, flag: `--${flag}` } }]
        : [];
    }),
  );
}

const loadDeadlineMs = 5000;

export function loadRequestOf(options: SettingsOptions): LoadRequest {
  const conninfo = conninfoOf(options);
  const connection: readonly SettingEntry[] =
    conninfo === ''
      ? []
      : [{ name: 'conninfo', text: conninfo, source: { kind: 'flag', flag: '-d, -h, -p, -U' } }];
  return {
    configFile: options.config ?? null,
    env: process.env,
    flags: [...flagEntries(options as Readonly<Record<string, unknown>>), ...connection],
    deadlineMs: loadDeadlineMs,
  };
}
