/**
 * A build of the core with one deliberate mistake in it: the compiled files copied to a temporary folder, one text replaced
 * that must be there exactly once. Production code has no switches for this.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { WorkerClass } from './host.js';

export interface Replacement {
  /** Compiled file below src, such as core/lease.js. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

const compiled = fileURLToPath(new URL('../../src/', import.meta.url));

export interface MutatedCore {
  readonly workerClass: WorkerClass;
  remove(): void;
}

export async function mutatedCore(replacements: readonly Replacement[]): Promise<MutatedCore> {
  const folder = mkdtempSync(join(tmpdir(), 'pgkeeper-mutation-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    for (const part of ['core', 'worker'])
      cpSync(join(compiled, part), join(folder, part), { recursive: true });
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
    for (const { file, find, replace } of replacements) {
      const path = join(folder, file);
      const text = readFileSync(path, 'utf8');
      const found = text.split(find).length - 1;
      if (found !== 1) throw new Error(`the text to mutate is ${found} times in ${file}: ${find}`);
      writeFileSync(
        path,
        text.replace(find, () => replace),
      );
    }
    const module = (await import(pathToFileURL(join(folder, 'worker', 'worker.js')).href)) as {
      Worker: WorkerClass;
    };
    return { workerClass: module.Worker, remove };
  } catch (error) {
    remove();
    throw error;
  }
}
