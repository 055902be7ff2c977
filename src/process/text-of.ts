/** Files that may be missing or unreadable. */
import { readFileSync } from 'node:fs';

/** Empty where it cannot be read. */
export function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
