/** The version of this program: that of the package its files belong to, from source, build and bundle alike. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export function programVersion(start: string = dirname(fileURLToPath(import.meta.url))): string {
  for (let folder = start, level = 0; level < 5; folder = dirname(folder), level += 1) {
    try {
      const { name, version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
        name?: string;
        version?: string;
      };
      if (name === 'pgkeeper' && version !== undefined) return version;
    } catch {
      // Not here: one folder up.
    }
  }
  return 'unknown';
}
