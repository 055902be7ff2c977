/**
 * A server that knows the extension, without touching the system's PostgreSQL and without root. Where there is pg_config: a copy
 * of the server's programs in a folder of its own (PostgreSQL finds its files relative to its programs), into which
 * `make -C extension install` installs as an administrator would. Else, from PostgreSQL 18 on: extension_control_path; before, the
 * files alone are put into such a copy.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { migrationsFolder } from '../../src/postgres/migrations.js';
import type { PostgresInstallation } from '../../src/testbed/find-postgres.js';

export const packageFolder = dirname(migrationsFolder());

export type ExtensionServer =
  | {
      readonly kind: 'ready';
      readonly installation: PostgresInstallation;
      readonly settings: Readonly<Record<string, string>>;
      /** Where the server looks for scripts of extensions. */
      readonly scripts: string;
    }
  | { readonly kind: 'impossible'; readonly why: string };

/** Installs the extension's files for a server that is yet to be made; everything goes into `folder`. */
export function installExtension(installation: PostgresInstallation, folder: string): ExtensionServer {
  if (spawnSync('make', ['--version']).status !== 0)
    return { kind: 'impossible', why: 'there is no make on this machine' };
  // Its own copy: make leaves the joined script beside its parts.
  const source = join(folder, 'extension-source');
  const isBuilt = (path: string) => /extension\/pg_keeper--[^-]+\.sql$/.test(path);
  cpSync(join(packageFolder, 'extension'), source, {
    recursive: true,
    dereference: true,
    filter: (path) => !isBuilt(path),
  });
  const pgConfig = join(installation.binDirectory, 'pg_config');
  if (existsSync(pgConfig)) return installWithMake(installation, pgConfig, source, folder);
  if (installation.major >= 18) return installByPath(installation, source, folder);
  if (existsSync(join(dirname(installation.binDirectory), 'share', 'postgresql', 'extension')))
    return installIntoCopy(installation, source, folder);
  return { kind: 'impossible', why: `${installation.binDirectory} holds no pg_config` };
}

function installWithMake(
  installation: PostgresInstallation,
  pgConfig: string,
  source: string,
  folder: string,
): ExtensionServer {
  const ask = (what: string) => execFileSync(pgConfig, [`--${what}`], { encoding: 'utf8' }).trim();
  const within = join(folder, 'installation');
  const [bin, share, library] = [ask('bindir'), ask('sharedir'), ask('pkglibdir')];
  if (!existsSync(ask('pgxs')))
    return { kind: 'impossible', why: `${pgConfig} --pgxs names a file that is not there` };

  const binDirectory = join(within, bin);
  mkdirSync(binDirectory, { recursive: true });
  for (const program of ['postgres', 'initdb', 'pg_ctl', 'pg_config'])
    copyFileSync(join(bin, program), join(binDirectory, program));
  linkEntries(share, join(within, share), ['extension']);
  linkEntries(join(share, 'extension'), join(within, share, 'extension'), []);
  mkdirSync(dirname(join(within, library)), { recursive: true });
  symlinkSync(library, join(within, library));

  execFileSync('make', ['-C', source, 'install', `PG_CONFIG=${join(binDirectory, 'pg_config')}`], {
    stdio: 'pipe',
  });
  const scripts = join(within, share, 'extension');
  return { kind: 'ready', installation: { ...installation, binDirectory }, settings: {}, scripts };
}

/** Of this extension's own files, should the system have them, none is linked: they are what is tested. */
function linkEntries(from: string, to: string, except: readonly string[]): void {
  mkdirSync(to, { recursive: true });
  for (const entry of readdirSync(from)) {
    if (!except.includes(entry) && !/^pg_keeper(--|\.)/.test(entry))
      symlinkSync(join(from, entry), join(to, entry));
  }
}

function installByPath(installation: PostgresInstallation, source: string, folder: string): ExtensionServer {
  const scripts = join(folder, 'share', 'extension');
  copyScripts(source, scripts);
  return {
    kind: 'ready',
    installation,
    settings: { extension_control_path: `${join(folder, 'share')}:$system` },
    scripts,
  };
}

/** Of an installation in one folder, with bin, lib and share in it, as those from npm are. */
function installIntoCopy(
  installation: PostgresInstallation,
  source: string,
  folder: string,
): ExtensionServer {
  const from = dirname(installation.binDirectory);
  const within = join(folder, 'installation');
  const binDirectory = join(within, 'bin');
  mkdirSync(binDirectory, { recursive: true });
  for (const program of ['postgres', 'initdb', 'pg_ctl'])
    copyFileSync(join(installation.binDirectory, program), join(binDirectory, program));
  symlinkSync(join(from, 'lib'), join(within, 'lib'));
  const share = join('share', 'postgresql');
  const scripts = join(within, share, 'extension');
  linkEntries(join(from, share), join(within, share), ['extension']);
  linkEntries(join(from, share, 'extension'), scripts, []);
  copyScripts(source, scripts);
  return { kind: 'ready', installation: { ...installation, binDirectory }, settings: {}, scripts };
}

/** Joining the script needs no PGXS: an empty file stands in for it. */
function copyScripts(source: string, target: string): void {
  writeFileSync(join(source, 'empty.mk'), '');
  const script = `pg_keeper--${extensionVersion(source)}.sql`;
  execFileSync('make', ['-C', source, 'PGXS=empty.mk', script], { stdio: 'pipe' });
  mkdirSync(target, { recursive: true });
  for (const file of ['pg_keeper.control', script]) copyFileSync(join(source, file), join(target, file));
  for (const file of readdirSync(join(source, 'upgrades')))
    copyFileSync(join(source, 'upgrades', file), join(target, file));
}

function extensionVersion(source: string): string {
  const control = readFileSync(join(source, 'pg_keeper.control'), 'utf8');
  return /^default_version = '(.*)'$/m.exec(control)?.[1] ?? '';
}
