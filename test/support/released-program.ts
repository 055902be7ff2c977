/** The command line and the objects of a release, built from the repository's history in a folder of its own. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageFolder } from './extension-files.js';

/** The commit that each release is. */
const releases: Readonly<Record<string, string>> = { '0.1.0': '7eb9db6' };

export class ReleasedProgram {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Null where the history is not there: a package, a shallow clone. */
  static build(version: string): ReleasedProgram | null {
    const commit = releases[version] ?? '';
    const git = (...args: readonly string[]) =>
      spawnSync('git', ['-C', packageFolder, ...args], { maxBuffer: 100_000_000 });
    const archive = git('archive', commit);
    if (archive.status !== 0) return null;
    const folder = mkdtempSync(join(tmpdir(), 'pgkeeper-released-'));
    execFileSync('tar', ['x', '-C', folder], { input: archive.stdout });
    symlinkSync(join(packageFolder, 'node_modules'), join(folder, 'node_modules'));
    execFileSync(process.execPath, [join(folder, 'scripts', 'build.mjs')], { stdio: 'pipe' });
    return new ReleasedProgram(folder);
  }

  get path(): string {
    return join(this.#folder, 'dist', 'pgkeeper.js');
  }

  get migrations(): string {
    return join(this.#folder, 'migrations');
  }

  get grants(): string {
    return join(this.#folder, 'deploy', 'grants.sql');
  }

  end(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
