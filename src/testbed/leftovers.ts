/** Ends whatever still runs out of a test folder: the folder's name is unique, so nobody else's process is meant. And what killed servers leave in memory. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

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

/** Line of postmaster.pid with the key and the id of the System V segment by which PostgreSQL locks its data directory. */
const segmentLine = 6;
/** Columns: key, id, permissions, size, creator, last user, attached. */
const segmentTable = '/proc/sysvipc/shm';

/**
 * A killed server leaves that segment to the next one in its data directory, and a system has 4096 of them. Before the directory of a
 * server that is dead is removed. Nothing where another server has come by that id, or the system does not tell.
 */
export function releaseMemory(dataDirectory: string): void {
  const pidFile = join(dataDirectory, 'postmaster.pid');
  if (!existsSync(pidFile) || !existsSync(segmentTable)) return;
  const words = (line: string | undefined) => (line ?? '').trim().split(/\s+/);
  const [key, id] = words(readFileSync(pidFile, 'utf8').split('\n')[segmentLine]);
  if (key === undefined || id === undefined) return;
  const rows = readFileSync(segmentTable, 'utf8').split('\n').map(words);
  const isLeft = rows.some((row) => row[0] === key && row[1] === id && row[6] === '0');
  if (isLeft) spawnSync('ipcrm', ['-m', id]);
}
