/**
 * What the files of a data directory tell while its server is down: where its configuration is, which port and socket
 * it will have. A running server is asked instead (server-source.ts).
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { formatConninfo } from '../core/conninfo.js';
import { defaultSocketFolder } from '../postgres/node-address.js';
import { type FileContents, lastValue, readConfigurationFile } from '../process/configuration-file.js';
import { textOf } from '../process/text-of.js';

export interface DataDirectory {
  /** With PG_VERSION in it. */
  readonly path: string;
  readonly configFile: string;
  /** postgresql.conf, its includes, then postgresql.auto.conf. */
  readonly contents: FileContents;
}

/**
 * Reads a data directory, or Debian's configuration folder that names one. The configuration may lie elsewhere:
 * postmaster.opts, the command line of the last start, says where.
 */
export function readDataDirectory(given: string): DataDirectory | string {
  const inside = join(given, 'postgresql.conf');
  if (!existsSync(join(given, 'PG_VERSION'))) {
    const named = existsSync(inside)
      ? lastValue(readConfigurationFile(inside).entries, 'data_directory')
      : undefined;
    if (named === undefined || !existsSync(join(named, 'PG_VERSION')))
      return `${given} is not a data directory of PostgreSQL (no PG_VERSION in it)`;
    return withFiles(named, inside);
  }
  return withFiles(given, configFileOf(given) ?? inside);
}

function withFiles(path: string, configFile: string): DataDirectory {
  const main = readConfigurationFile(configFile);
  const auto = join(path, 'postgresql.auto.conf');
  const own = existsSync(auto) ? readConfigurationFile(auto) : { entries: [], problems: [] };
  return {
    path,
    configFile,
    contents: { entries: [...main.entries, ...own.entries], problems: [...main.problems, ...own.problems] },
  };
}

/** From `"-c" "config_file=/etc/..."` or `"-D" "/etc/..."` of the last start. */
function configFileOf(path: string): string | undefined {
  const words = wordsOf(textOf(join(path, 'postmaster.opts')));
  const named = words.map((word) => /^(?:-c|--)?config[_-]file=(.+)$/.exec(word)?.[1]).find(Boolean);
  if (named !== undefined && existsSync(named)) return named;
  const folder = words[words.indexOf('-D') + 1];
  const other = words.includes('-D') && folder !== undefined ? join(folder, 'postgresql.conf') : undefined;
  return other !== undefined && existsSync(other) ? other : undefined;
}

function wordsOf(commandLine: string): readonly string[] {
  return [...commandLine.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map(
    ([, quoted, bare]) => quoted ?? bare ?? '',
  );
}

/** Socket folder, or localhost where there is none, and port: of the running server, else of the one to be started. */
export function localConninfo(directory: DataDirectory): string {
  const [, , , runningPort, runningSocket] = textOf(join(directory.path, 'postmaster.pid')).split('\n');
  const words = wordsOf(textOf(join(directory.path, 'postmaster.opts')));
  const { entries } = directory.contents;
  const option = (flag: string) => (words.includes(flag) ? words[words.indexOf(flag) + 1] : undefined);
  const port = runningPort?.trim() || option('-p') || lastValue(entries, 'port') || '5432';
  const sockets = runningSocket?.trim() || option('-k') || lastValue(entries, 'unix_socket_directories');
  const host = sockets === undefined ? defaultSocketFolder(port) : sockets.split(',')[0]?.trim();
  return formatConninfo(
    new Map([...(host === undefined ? [] : [['host', host || 'localhost'] as const]), ['port', port]]),
  );
}
