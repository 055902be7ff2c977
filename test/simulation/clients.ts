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
  readonly #busyUntil: () => number;
  #session: Session | null = null;
  #pending = false;
  #stopped = false;

  constructor(server: Server, busyUntil: () => number) {
    this.#server = server;
    this.#world = server.around.world;
    this.#busyUntil = busyUntil;
    this.#later();
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Often while something is going on, seldom while all is quiet. */
  #later(): void {
    const { random, now } = this.#world;
    const busy = now < this.#busyUntil();
    this.#world.after(busy ? random.between(20, 250) : random.between(1000, 6000), () => this.#write());
  }

  #write(): void {
    if (this.#stopped) return;
    this.#later();
    const server = this.#server;
    if (!server.writable || server.frozen) return;
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
