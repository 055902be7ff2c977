/** Files of the user who runs the testbed's servers, or of somebody else. */
import { chownSync } from 'node:fs';

export function giveAway(path: string, uid: number, gid: number): void {
  chownSync(path, uid, gid);
}
