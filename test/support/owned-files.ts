/** Folders of the user who runs the testbed's servers. */
import { chownSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

export function giveAway(path: string, uid: number, gid: number): void {
  chownSync(path, uid, gid);
}

export function freshFolder(parent: string, name: string): string {
  const folder = join(parent, name);
  mkdirSync(folder, { mode: 0o755 });
  const { uid, gid } = statSync(parent);
  if (process.getuid?.() === 0) giveAway(folder, uid, gid);
  return folder;
}
