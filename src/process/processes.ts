/**
 * The processes of one PostgreSQL server, found by their working directory: PostgreSQL runs all of them in its data
 * directory, also those whose postmaster is gone. Zombies are dead; stopped processes are alive.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

export interface ServerProcess {
  readonly pid: number;
  readonly parent: number;
  /** As `ps` shows it, such as "postgres: walreceiver streaming 0/3000060". */
  readonly title: string;
}

/** All living processes of the server in that directory. An unreadable entry belongs to another user's program. */
export function serverProcesses(dataDirectory: string): readonly ServerProcess[] {
  return process.platform === 'linux' ? fromProc(dataDirectory) : fromPs(dataDirectory);
}

/** Compared by inode: a directory that was renamed under a running server is still the same. */
function fromProc(dataDirectory: string): readonly ServerProcess[] {
  const found: ServerProcess[] = [];
  const directory = statSync(dataDirectory, { bigint: true });
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const { dev, ino } = statSync(`/proc/${entry}/cwd`, { bigint: true });
      if (ino !== directory.ino || dev !== directory.dev) continue;
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
      const [, name = '', state = '', parent = '0'] = /^\d+ \((.*)\) (\S) (\d+)/s.exec(stat) ?? [];
      if (!/^(postgres|postmaster)$/.test(name) || state === 'Z' || state === 'X') continue;
      const title = readFileSync(`/proc/${entry}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
      found.push({ pid: Number(entry), parent: Number(parent), title });
    } catch {
      // Gone meanwhile, or not ours to see.
    }
  }
  return found;
}

/** Elsewhere: the postmaster named in postmaster.pid, and its children. */
function fromPs(directory: string): readonly ServerProcess[] {
  let postmaster: number;
  try {
    postmaster = Number(readFileSync(`${directory}/postmaster.pid`, 'utf8').split('\n')[0]);
  } catch {
    return [];
  }
  const lines = execFileSync('ps', ['-axo', 'pid=,ppid=,state=,command='], { encoding: 'utf8' }).split('\n');
  return lines.flatMap((line) => {
    const [, pid, parent, state = '', title = ''] = /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(.*)$/.exec(line) ?? [];
    const isOurs = Number(pid) === postmaster || Number(parent) === postmaster;
    if (pid === undefined || !isOurs || state.startsWith('Z') || !title.includes('postgres')) return [];
    return [{ pid: Number(pid), parent: Number(parent), title }];
  });
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** SIGKILL to every process of the server until a look finds none. False when some are left after `boundMs`. */
export async function endAllProcesses(dataDirectory: string, boundMs: number): Promise<boolean> {
  const until = performance.now() + boundMs;
  for (;;) {
    const left = serverProcesses(dataDirectory);
    if (left.length === 0) return true;
    if (performance.now() > until) return false;
    for (const { pid } of left) kill(pid, 'SIGKILL');
    await delay(2);
  }
}

/** Ends the WAL receiver, so that the startup process asks primary_conninfo again. False when there was none. */
export function endWalReceiver(dataDirectory: string): boolean {
  const receiver = serverProcesses(dataDirectory).find(({ title }) =>
    /^postgres: .*\bwalreceiver\b/.test(title),
  );
  if (receiver === undefined) return false;
  kill(receiver.pid, 'SIGTERM');
  return true;
}
