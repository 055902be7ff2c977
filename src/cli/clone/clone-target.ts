/**
 * `pgkeeper clone`: the place where the standby is to be. Whose it is, what is there already, where its configuration and
 * PostgreSQL's programs are; and every reason not to touch it.
 */
import { existsSync, readdirSync, statfsSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { type FileEntry, lastValue, readConfigurationFile } from '../../process/configuration-file.js';
import { readControlFile } from '../../process/control-file.js';
import { canReplace } from '../../process/copy/base-copy.js';
import { copyFolderOf, finishSwap, readUnfinished } from '../../process/copy/unfinished-data.js';
import { serverProcesses } from '../../process/processes.js';
import { claimDataDirectory } from '../../process/single-worker.js';
import { readDataDirectory } from '../../settings/data-directory.js';
import { installationIn, systemInstallations } from '../../testbed/find-postgres.js';
import { CommandFailure, exitCodes } from '../exit-codes.js';
import { formatBytes, say } from '../output.js';
import type { Refusals } from '../refusals.js';
import { userNameOf } from '../server-owner.js';

export interface CloneTarget {
  readonly dataDirectory: string;
  /** Outside the data directory, as Debian has it; null = inside. */
  readonly configFile: string | null;
  /** Of whatever configuration there is already. */
  readonly entries: readonly FileEntry[];
  readonly isEmpty: boolean;
  /** Of what is there; null where that is no server's data. */
  readonly systemIdentifier: string | null;
}

export function refused(message: string, hints: readonly string[] = []): CommandFailure {
  return new CommandFailure(exitCodes.refused, message, hints);
}

const debianFolder = '/etc/postgresql';

export function cloneTarget(given: string): CloneTarget {
  const { dataDirectory, configFile } = placesOf(resolve(given));
  if (finishSwap(dataDirectory)) say(`${dataDirectory}: an earlier copy was whole and took its place`);
  const isEmpty = contentsOf(dataDirectory).length === 0;
  const inside = existsSync(join(dataDirectory, 'PG_VERSION')) ? readDataDirectory(dataDirectory) : '';
  const outside = configFile === null ? [] : readConfigurationFile(configFile).entries;
  return {
    dataDirectory,
    configFile,
    entries: [...outside, ...(typeof inside === 'string' ? [] : inside.contents.entries)],
    isEmpty,
    systemIdentifier: identifierOf(dataDirectory),
  };
}

function placesOf(given: string): Pick<CloneTarget, 'dataDirectory' | 'configFile'> {
  const named = dataDirectoryIn(given);
  if (!existsSync(join(given, 'PG_VERSION')) && named !== undefined)
    return { dataDirectory: named, configFile: join(given, 'postgresql.conf') };
  const folder = debianFolders().find((one) => dataDirectoryIn(one) === given);
  return { dataDirectory: given, configFile: folder === undefined ? null : join(folder, 'postgresql.conf') };
}

function dataDirectoryIn(folder: string): string | undefined {
  const file = join(folder, 'postgresql.conf');
  try {
    return existsSync(file) ? lastValue(readConfigurationFile(file).entries, 'data_directory') : undefined;
  } catch {
    return undefined;
  }
}

function debianFolders(): readonly string[] {
  const list = (folder: string) =>
    existsSync(folder) ? readdirSync(folder).map((one) => join(folder, one)) : [];
  return list(debianFolder).flatMap((version) => (statSync(version).isDirectory() ? list(version) : []));
}

function contentsOf(folder: string): readonly string[] {
  return existsSync(folder) ? readdirSync(folder).filter((name) => name !== 'lost+found') : [];
}

function identifierOf(dataDirectory: string): string | null {
  try {
    return readControlFile(dataDirectory).systemIdentifier;
  } catch {
    return null;
  }
}

export interface Permission {
  readonly force?: boolean;
  readonly removeOld?: boolean;
}

/** Finds what stands against it. From here on no worker can start there until this process ends. What is worth saying is given back. */
export async function claimTarget(
  target: CloneTarget,
  permission: Permission,
  found: Refusals,
): Promise<readonly string[]> {
  const { dataDirectory, isEmpty } = target;
  const isThere = existsSync(dataDirectory);
  const hasPlace = await found.gather(() => refuseOwner(dataDirectory));
  if (hasPlace === null && !isThere) return [];
  if (isThere && serverProcesses(dataDirectory).length > 0)
    found.add(
      refused(`a server runs in ${dataDirectory}`, ['Stop it first; be sure that it is not the master.']),
    );
  if (!(await claimDataDirectory(dataDirectory)))
    found.add(
      refused(`a worker, or another pgkeeper clone or rejoin, is at work on ${dataDirectory}`, [
        'Stop the worker first (systemctl stop pgkeeper).',
      ]),
    );
  const notes: string[] = [];
  if (existsSync(copyFolderOf(dataDirectory)))
    notes.push(
      `an earlier copy was broken off; what there is of it (${copyFolderOf(dataDirectory)}) is removed`,
    );
  const unfinished = isThere ? readUnfinished(dataDirectory) : null;
  if (unfinished !== null)
    notes.push(
      `${dataDirectory} holds half of a ${unfinished.what} from ${unfinished.source}, begun ${unfinished.since}: it is replaced`,
    );
  else if (!isEmpty) refuseOldData(dataDirectory, permission, found);
  return notes;
}

function refuseOldData(dataDirectory: string, permission: Permission, found: Refusals): void {
  if (permission.force !== true)
    found.add(
      refused(`${dataDirectory} is not empty`, [
        '--force replaces what is there. It is kept beside the new data until you remove it, or --remove-old is given.',
      ]),
    );
  if (permission.removeOld !== true && !canReplace(dataDirectory))
    found.add(
      refused(
        `what is in ${dataDirectory} cannot be kept: it is a mount point, has tablespaces, or its parent may not be written to`,
        ['--force --remove-old removes it before the copy begins.'],
      ),
    );
}

function refuseOwner(dataDirectory: string): true {
  const own = process.getuid?.();
  const place = existsSync(dataDirectory) ? dataDirectory : dirname(dataDirectory);
  if (!existsSync(place))
    throw refused(`${place} does not exist`, ['Make it first, for the user who runs PostgreSQL.']);
  const { uid } = statSync(place);
  if (own === 0 && uid === 0)
    throw refused(`${place} belongs to root, and PostgreSQL refuses to run as root`, [
      `Make the data directory for the user who is to run the server: install -d -o postgres -g postgres -m 700 ${dataDirectory}`,
    ]);
  if (own !== 0 && existsSync(dataDirectory) && uid !== own)
    throw refused(`${dataDirectory} belongs to another user (${userNameOf(uid)})`, [
      `Run this as that user, sudo -u ${userNameOf(uid)} pgkeeper clone ..., or as root.`,
    ]);
  return true;
}

/** Where the programs of that major version are. */
export function programsFor(target: CloneTarget, given: string | undefined, major: number): string {
  const asked = given ?? lastValue(target.entries, 'pg_keeper.bin_directory');
  if (asked !== undefined && asked !== '') {
    const found = installationIn(asked, 'given');
    if (typeof found === 'string') throw refused(found);
    if (found.major !== major)
      throw refused(`${asked} holds PostgreSQL ${found.version}, and the source runs ${major}`, [
        `A standby needs the same major version: install PostgreSQL ${major} here.`,
      ]);
    return found.binDirectory;
  }
  const all = systemInstallations();
  const fit = all.find((one) => one.major === major);
  if (fit === undefined) {
    const others = all.map(({ version }) => version).join(', ') || 'none';
    throw refused(`PostgreSQL ${major}, which the source runs, is not installed here (found: ${others})`, [
      'Install it, or give the folder of its programs with --bin-directory.',
    ]);
  }
  return fit.binDirectory;
}

/** Refused only where it cannot go well: the old data go first where they cannot be kept. */
export function refuseFullDisk({ dataDirectory }: CloneTarget, neededBytes: number | null): void {
  const place = existsSync(dataDirectory) ? dataDirectory : dirname(dataDirectory);
  if (!existsSync(place)) return;
  const { bavail, bsize } = statfsSync(place);
  const freeBytes = bavail * bsize;
  if (neededBytes !== null && canReplace(dataDirectory) && freeBytes < neededBytes)
    throw refused(
      `the source has ${formatBytes(neededBytes)}, and only ${formatBytes(freeBytes)} are free at ${place}`,
      ['Make room first; the copy is made beside what is there.'],
    );
}
