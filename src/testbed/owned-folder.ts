/** Folders of the user who runs the testbed's servers. */
import { chownSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** A new one, of the same user as the one around it. */
export function freshFolder(parent: string, name: string): string {
  const folder = join(parent, name);
  mkdirSync(folder, { mode: 0o755 });
  const { uid, gid } = statSync(parent);
  if (process.getuid?.() === 0) chownSync(folder, uid, gid);
  return folder;
}
