/** A copy of the built program that can be taken away under running workers, as an uninstallation does. */
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Of the compiled tests: build/test/support -> the repository. */
const root = fileURLToPath(new URL('../../..', import.meta.url));

export class RemovableProgram {
  readonly #folder = mkdtempSync(join(tmpdir(), 'pgkeeper-program-'));

  constructor() {
    cpSync(join(root, 'package.json'), join(this.#folder, 'package.json'));
    symlinkSync(join(root, 'node_modules'), join(this.#folder, 'node_modules'));
    this.bring();
  }

  get path(): string {
    return join(this.#folder, 'dist', 'pgkeeper.js');
  }

  bring(): void {
    cpSync(join(root, 'dist'), join(this.#folder, 'dist'), { recursive: true });
  }

  remove(): void {
    rmSync(join(this.#folder, 'dist'), { recursive: true, force: true });
  }

  end(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
