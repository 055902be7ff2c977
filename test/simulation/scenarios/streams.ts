/** Single commits, and streams that stand still: who has what is decided by the schedule. */
import { Connection } from '../network.js';
import type { WalReceiver } from '../replication.js';
import type { Server } from '../server.js';
import { waitForStandbys } from '../sync-replication.js';
import type { Branch } from '../wal.js';
import type { Stage } from './stage.js';

export interface Commit {
  branch: Branch | null;
  lsn: number;
  acknowledged: boolean;
}

/** By a client beside the server, never cut off from it. */
export function writeOnce(server: Server): Commit {
  const commit: Commit = { branch: null, lsn: 0, acknowledged: false };
  const connection = new Connection(server.around.network, server.machine, server.machine);
  server.accept(connection, 'client', 'app', (session) => {
    if (typeof session === 'string' || !server.writable) return;
    commit.lsn = server.append(100);
    commit.branch = server.branch;
    waitForStandbys(server, session, commit.lsn, () => {
      commit.acknowledged = true;
    });
  });
  return commit;
}

/** The disk under a WAL receiver stands still: what it gets waits. The next receiver of that standby is a new one. */
export class StalledStream {
  readonly standby: string;
  readonly #receiver: WalReceiver;
  readonly #waiting: Parameters<WalReceiver['message']>[] = [];

  constructor(server: Server) {
    const { receiver } = server.recovery;
    if (receiver === null) throw new Error(`${server.name} has no WAL receiver`);
    this.standby = server.name;
    this.#receiver = receiver;
    receiver.message = (...message) => {
      receiver.lastMessageAt = server.world.now;
      this.#waiting.push(message);
    };
  }

  end(): void {
    Reflect.deleteProperty(this.#receiver, 'message');
    for (const message of this.#waiting) this.#receiver.message(...message);
  }
}

/** Nothing is flushed there any more; what came meanwhile is lost. Returns what ends it, which follows a crash. */
export function stallDisk(server: Server): () => void {
  const { recovery } = server;
  recovery.received = () => undefined;
  return () => Reflect.deleteProperty(recovery, 'received');
}

/** Its WAL receiver is gone, and replay that is paused before the end starts no new one. */
export function stopsStreaming(stage: Stage, standby: string): void {
  const { recovery } = stage.server(standby);
  recovery.paused = true;
  stage.writeThrough('n1');
  stage.run(100);
  stage.resetStream(standby);
}

/** No standby gets a walsender there (max_wal_senders). Returns what ends it. */
export function takesNoStandby({ senders }: Server): () => void {
  senders.push = (...refused) => {
    for (const { connection } of refused) connection.close(1);
    return senders.length;
  };
  for (const sender of [...senders]) {
    sender.connection.close(1);
    sender.end();
  }
  return () => Reflect.deleteProperty(senders, 'push');
}

/** Replay stands still there, whoever resumes it (a slow disk). Returns what ends it. */
export function pausesReplay({ recovery }: Server): () => void {
  Object.defineProperty(recovery, 'paused', { configurable: true, get: () => true, set: () => undefined });
  return () => {
    Object.defineProperty(recovery, 'paused', { configurable: true, writable: true, value: false });
    recovery.scheduleReplay();
  };
}
