/**
 * Stands in for systemd: a unix datagram socket that is read as systemd reads it. Node has no such sockets, so a few lines of
 * Perl listen, which every Debian has.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';
import { until } from '../../src/testbed/until.js';

/** A message a line, its assignments apart by tabs. */
const listener = `
  use Socket;
  socket(S, AF_UNIX, SOCK_DGRAM, 0) or die "socket: $!";
  bind(S, sockaddr_un($ARGV[0])) or die "bind: $!";
  chmod 0777, $ARGV[0];
  $| = 1;
  print "LISTENING\\n";
  while (defined recv(S, my $message, 65536, 0)) { $message =~ s/\\n/\\t/g; print "$message\\n" }
`;

export interface Notification {
  /** performance.now() of this process. */
  readonly at: number;
  readonly assignments: readonly string[];
}

/** Why it cannot be tried here, or null. */
export function whyNoNotifySocket(): string | null {
  if (process.platform !== 'linux') return 'systemd is on Linux only';
  if (spawnSync('perl', ['-MSocket', '-e', '1']).status !== 0) return 'no perl that could listen';
  if (spawnSync('systemd-notify', ['--version']).status !== 0)
    return 'no systemd-notify (apt-get install systemd)';
  return null;
}

export class NotifySocket {
  readonly path: string;
  readonly notifications: Notification[] = [];
  readonly #listener: ChildProcess;

  constructor(path: string) {
    this.path = path;
    this.#listener = spawn('perl', ['-e', listener, path], { stdio: ['ignore', 'pipe', 'inherit'] });
    const { stdout } = this.#listener;
    if (stdout === null) throw new Error('no output of the listener');
    createInterface({ input: stdout }).on('line', (line) => {
      // BARRIER=1 is systemd-notify waiting until it was heard.
      if (line !== 'BARRIER=1')
        this.notifications.push({ at: performance.now(), assignments: line.split('\t') });
    });
  }

  /** The first one since then that says so. */
  async untilSaid(assignment: string, since = 0, boundMs = 30_000): Promise<Notification> {
    return until(
      `the service manager is told ${assignment}`,
      () => this.said(assignment, since)[0],
      boundMs,
      5,
    );
  }

  /** By its beginning, or whole. */
  said(assignment: string, since = 0): readonly Notification[] {
    return this.notifications.filter(
      ({ at, assignments }) => at >= since && assignments.some((one) => one.startsWith(assignment)),
    );
  }

  end(): void {
    this.#listener.kill('SIGKILL');
  }
}
