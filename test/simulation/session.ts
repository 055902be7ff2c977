/** A session on a modelled server: its lock, its copy of the configuration, idle_session_timeout. */
import type { Configuration } from './configuration.js';
import type { Connection } from './network.js';
import type { Server } from './server.js';

export class Session {
  readonly server: Server;
  readonly connection: Connection;
  readonly kind: 'worker' | 'client' | 'probe';
  readonly database: string;
  /** Under which token a witness keeps the row of this session's cluster. */
  token = '';
  /** The node whose worker this is. */
  owner = '';
  configuration: Configuration;
  alive = true;
  locked = false;
  /** idle_session_timeout in true ms; 0 = none. */
  idleTimeoutMs = 0;
  idleSince: number;
  readonly bornAt: number;
  running = false;
  /** A long query on a standby: replay waits for it. */
  blocksReplay = false;
  #watched = false;

  constructor(server: Server, connection: Connection, kind: Session['kind'], database: string) {
    this.server = server;
    this.connection = connection;
    this.kind = kind;
    this.database = database;
    this.configuration = server.postmasterConfiguration;
    this.idleSince = server.around.world.now;
    this.bornAt = this.idleSince;
  }

  /** idle_session_timeout, checked lazily: one pending look at a time. */
  watchIdle(): void {
    if (this.#watched || this.idleTimeoutMs <= 0 || !this.alive) return;
    this.#watched = true;
    this.server.at(this.idleSince + this.idleTimeoutMs, () => {
      this.#watched = false;
      if (!this.alive || this.idleTimeoutMs <= 0) return;
      const due = this.idleSince + this.idleTimeoutMs <= this.server.around.world.now + 1e-6;
      if (due && !this.running) this.server.endSession(this, 'speaks', 'idle_session_timeout');
      else {
        if (this.running) this.idleSince = this.server.around.world.now;
        this.watchIdle();
      }
    });
  }
}
