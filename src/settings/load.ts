/**
 * Collects every setting from its places, the later ones winning: defaults, the file of --config, the server's own
 * files, the environment, flags. A server that is down is no obstacle where its data directory is known: its files are read.
 */
import { realpathSync } from 'node:fs';
import { classifyFailure, type Failure, speaksProtocol } from '../postgres/failure.js';
import { readConfigurationFile } from '../process/configuration-file.js';
import { finishSwap } from '../process/copy/unfinished-data.js';
import { judge } from './check.js';
import { type DataDirectory, localConninfo, readDataDirectory } from './data-directory.js';
import { readServerSettings } from './server-source.js';
import type { SettingName, Settings } from './settings.js';
import {
  entriesOfEnvironment,
  entriesOfFile,
  mergeEntries,
  type SettingEntry,
  type SourceContents,
} from './sources.js';

export interface LoadRequest {
  readonly configFile: string | null;
  readonly env: NodeJS.ProcessEnv;
  /** In the order given. */
  readonly flags: readonly SettingEntry[];
  readonly deadlineMs: number;
  /** Of the worker: a copy that was killed just before it took its place takes it now. */
  readonly finishesCopies?: boolean;
}

/** Where the server's part came from. */
export type ServerPart =
  | { readonly kind: 'asked' }
  | { readonly kind: 'files'; readonly failure: Failure }
  | { readonly kind: 'none'; readonly failure: Failure };

export interface LoadedSettings {
  /** null if there are problems. */
  readonly settings: Settings | null;
  readonly values: ReadonlyMap<SettingName, SettingEntry>;
  /** Everything that is wrong, at once. */
  readonly problems: readonly string[];
  /** Worth saying, but no reason to stop. */
  readonly notes: readonly string[];
  readonly server: ServerPart;
  /** How the own server is reached, also where the other settings have problems. */
  readonly ownConninfo: string;
  readonly dataDirectory: string | null;
}

export async function loadSettings(request: LoadRequest): Promise<LoadedSettings> {
  const file = configLayer(request.configFile);
  const outer = [entriesOfEnvironment(request.env), request.flags];
  const first = mergeEntries([file.entries, ...outer]);
  const path = first.get('data_directory')?.text ?? request.env['PGDATA'];
  if (request.finishesCopies === true && path) finishSwap(path);
  const directory = directoryOf(path);
  const known = typeof directory === 'string' ? null : directory;
  const ownConninfo = first.get('conninfo')?.text ?? defaultConninfo(request.env, known);
  const server = await serverLayer(ownConninfo, known, request.deadlineMs);
  const values = mergeEntries([file.entries, server.contents.entries, ...outer]);
  const dataDirectory = known?.path ?? server.dataDirectory;
  const judged = judge(values, { ownConninfo, dataDirectory });
  const problems = [
    ...file.problems,
    ...file.unknown,
    ...(typeof directory === 'string' ? [directory] : []),
    ...otherServer(known, server.dataDirectory),
  ];
  return {
    settings: problems.length === 0 ? judged.settings : null,
    values: judged.values,
    problems: [...problems, ...judged.problems],
    notes: server.contents.unknown,
    server: server.part,
    ownConninfo,
    dataDirectory,
  };
}

/** The worker would start and stop one server and watch another. */
function otherServer(given: DataDirectory | null, shown: string | null): readonly string[] {
  if (given === null || shown === null || realPath(given.path) === realPath(shown)) return [];
  return [
    `the data directory ${given.path} is not that of the server the connection leads to, which has ${shown}`,
  ];
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

interface FileLayer extends SourceContents {
  readonly problems: readonly string[];
}

function configLayer(path: string | null): FileLayer {
  if (path === null) return { entries: [], unknown: [], problems: [] };
  const { entries, problems } = readConfigurationFile(path);
  return { ...entriesOfFile(entries, 'file'), problems };
}

function directoryOf(path: string | undefined): DataDirectory | string | null {
  return path === undefined || path === '' ? null : readDataDirectory(path);
}

/** PGHOST and PGPORT come first; else the socket and port the data directory tells; else libpq's defaults. */
function defaultConninfo(env: NodeJS.ProcessEnv, directory: DataDirectory | null): string {
  if (directory === null || env['PGHOST'] || env['PGPORT']) return '';
  return localConninfo(directory);
}

interface ServerLayer {
  readonly contents: SourceContents;
  readonly dataDirectory: string | null;
  readonly part: ServerPart;
}

async function serverLayer(
  conninfo: string,
  directory: DataDirectory | null,
  deadlineMs: number,
): Promise<ServerLayer> {
  try {
    const { lines, session, dataDirectory } = await readServerSettings(conninfo, deadlineMs);
    const { entries, unknown } = entriesOfFile(lines, 'server');
    return {
      contents: { entries: [...entries, ...session], unknown },
      dataDirectory,
      part: { kind: 'asked' },
    };
  } catch (error) {
    const failure = classifyFailure(error);
    if (directory === null)
      return { contents: { entries: [], unknown: [] }, dataDirectory: null, part: { kind: 'none', failure } };
    return {
      contents: entriesOfFile(directory.contents.entries, 'server'),
      dataDirectory: directory.path,
      part: { kind: 'files', failure },
    };
  }
}

/** A living server that does not let us in is the operator's mistake; one that is silent or on its way up is not. */
export function isLockedOut(server: ServerPart): boolean {
  if (server.kind === 'asked') return false;
  const { kind } = server.failure;
  const passing = kind === 'starting-up' || kind === 'shutting-down' || kind === 'too-many-connections';
  return speaksProtocol(kind) && !passing;
}
