/** One PgBouncer that all workers name. It lives outside every host and is paused until somebody resumes it. */
import type { Emit, Pools } from '../../src/ports.js';
import type { Host } from './host.js';

export interface Pool {
  paused: boolean;
}

/** What is sent takes effect whatever becomes of the worker; one command after the other. */
export class PoolsModel implements Pools {
  readonly #host: Host;
  readonly #emit: Emit;
  #busyUntil = 0;

  constructor(host: Host, emit: Emit) {
    this.#host = host;
    this.#emit = emit;
  }

  /** No transaction begins from the moment in which PAUSE arrives; the answer comes when the open ones have ended. */
  pause(deadlineMs: number): void {
    const { random } = this.#host.world;
    // A transaction that stays open; what was paused meanwhile is resumed.
    const tooLong = random.chance(0.1);
    let foreign = false;
    this.#then(random.tail(2, 200), (pool) => {
      foreign = pool.paused;
      pool.paused = true;
    });
    this.#then(tooLong ? deadlineMs : random.tail(2, deadlineMs), (pool) => {
      const ok = !tooLong && !foreign;
      if (!foreign && tooLong) pool.paused = false;
      this.#emit({ kind: 'pools-paused', ok, detail: ok ? '' : 'PAUSE was not done' });
    });
  }

  /** Sometimes it is out of reach for a while. */
  resume(): void {
    const { random } = this.#host.world;
    const late = random.chance(0.05);
    this.#then(late ? random.between(1000, 9000) : random.tail(2, 200), (pool) => {
      const resumed = Number(pool.paused);
      pool.paused = false;
      this.#emit({ kind: 'pools-resumed', ok: true, detail: '', resumed, named: 1 });
    });
  }

  #then(ms: number, action: (pool: Pool) => void): void {
    const { server, world } = this.#host;
    this.#busyUntil = Math.max(world.now, this.#busyUntil) + ms;
    world.at(this.#busyUntil, () => action(server.around.pool));
  }
}
