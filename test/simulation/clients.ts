/**
 * Writers: one beside every server, never cut off from it, writing whenever that server takes writes. What a server
 * acknowledges counts from the moment it does, whether or not the answer reaches anybody.
 */
import { Connection } from './network.js';
import type { Server } from './server.js';
import type { Session } from './session.js';
import { waitForStandbys } from './sync-replication.js';
import type { World } from './world.js';

export class Writer {
  readonly #server: Server;
  readonly #world: World;
  /** Longest pause before the next write, ms, as things are. */
  readonly #pauseMs: () => number;
  #session: Session | null = null;
  #pending = false;
  #stopped = false;
  /** When the next write comes; Infinity = none while that server takes none. */
  #nextAt = Number.POSITIVE_INFINITY;

  constructor(server: Server, pauseMs: () => number) {
    this.#server = server;
    this.#world = server.around.world;
    this.#pauseMs = pauseMs;
    this.wake();
  }

  /** That server takes writes, or there is more to see now: a long pause is cut short. */
  wake(): void {
    if (!this.#server.writable) return;
    const longest = this.#pauseMs();
    const at = this.#world.now + this.#world.random.between(0.08, 1) * longest;
    if (at >= this.#nextAt) return;
    this.#nextAt = at;
    this.#world.at(at, () => {
      if (this.#nextAt === at) this.#write();
    });
  }

  stop(): void {
    this.#stopped = true;
  }

  #write(): void {
    this.#nextAt = Number.POSITIVE_INFINITY;
    if (this.#stopped) return;
    const server = this.#server;
    if (!server.writable) return;
    this.wake();
    if (server.frozen) return;
    const session = this.#session;
    if (session === null || !session.alive) return this.#connect();
    if (this.#pending) return;
    this.#pending = true;
    session.running = true;
    server.after(server.diskMs + this.#world.random.tail(1, 30), () => {
      if (!session.alive || server.inRecovery) return this.#finish();
      const lsn = server.append(100);
      waitForStandbys(server, session, lsn, () => this.#finish());
    });
  }

  #finish(): void {
    this.#pending = false;
  }

  #connect(): void {
    const server = this.#server;
    const connection = new Connection(server.around.network, server.machine, server.machine);
    connection.onEnd[0] = () => undefined;
    server.accept(connection, 'client', 'app', (result) => {
      if (typeof result === 'string') return;
      this.#session = result;
      this.#pending = false;
    });
  }
}

/** A long query on a standby: replay waits for it, as with max_standby_streaming_delay = -1. */
export function runLongQuery(server: Server, forMs: number): void {
  if (server.life !== 'up' || !server.inRecovery) return;
  const connection = new Connection(server.around.network, server.machine, server.machine);
  server.accept(connection, 'client', 'app', (session) => {
    if (typeof session === 'string') return;
    session.blocksReplay = true;
    server.say(`a query blocks replay for ${Math.round(forMs)} ms`);
    server.after(forMs, () => server.forgetSession(session));
  });
}
