/** Ends whatever still runs out of a test folder: the folder's name is unique, so nobody else's process is meant. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

function pidsIn(folder: string): readonly number[] {
  if (process.platform !== 'linux') return [];
  return readdirSync('/proc').flatMap((entry) => {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) return [];
    try {
      const state = /\) (\S)/.exec(readFileSync(`/proc/${entry}/stat`, 'utf8'))?.[1];
      if (state === 'Z' || state === 'X') return [];
      const isInside =
        readlinkSync(`/proc/${entry}/cwd`).startsWith(folder) ||
        readFileSync(`/proc/${entry}/cmdline`, 'utf8').includes(`${folder}/`) ||
        // A guard shows its title in place of its command line.
        readFileSync(`/proc/${entry}/environ`, 'utf8').includes(`TESTBED_NODE=${folder}/`);
      return isInside ? [pid] : [];
    } catch {
      return [];
    }
  });
}

/** SIGKILL until a look finds nothing, or `boundMs` are over. Blocks: it serves signal handlers too. */
export function endEverythingIn(folder: string, boundMs = 3000): void {
  const until = performance.now() + boundMs;
  for (let left = pidsIn(folder); left.length > 0 && performance.now() < until; left = pidsIn(folder)) {
    for (const pid of left) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // Ended meanwhile.
      }
    }
  }
}
