/**
 * Hosts and what lies between them: one-way and two-way cuts, delay, loss, refused against silent. A connection keeps
 * order in each direction and sends again what a cut swallowed, as TCP does: a statement may arrive long after its sender
 * gave up on it.
 */
import type { LinkFailure } from '../../src/core/types.js';
import type { World } from './world.js';

/** A machine (or a network namespace): has an address, can lose power. */
export interface Machine {
  readonly name: string;
  readonly index: number;
  powered: boolean;
  /** The hypervisor has stopped it. */
  paused: boolean;
}

export type Path = 'up' | 'drop' | 'reject';

/** How the other end of a connection went away. */
export type Ending = 'closed' | 'reset';

export class Network {
  readonly world: World;
  readonly #paths: Path[][] = [];
  readonly #slow: number[][] = [];
  readonly #waiting = new Set<Connection>();
  /** Usual one-way delay between machines, ms. */
  readonly latencyMs: number;
  /** Share of messages that need to be sent again. */
  lossShare = 0;

  constructor(world: World, machines: number, latencyMs: number) {
    this.world = world;
    this.latencyMs = latencyMs;
    for (let i = 0; i < machines; i++) {
      this.#paths.push(new Array<Path>(machines).fill('up'));
      this.#slow.push(new Array<number>(machines).fill(0));
    }
  }

  path(from: Machine, to: Machine): Path {
    return from === to ? 'up' : (this.#paths[from.index]?.[to.index] ?? 'up');
  }

  setPath(from: Machine, to: Machine, path: Path): void {
    const row = this.#paths[from.index];
    if (row !== undefined) row[to.index] = path;
    if (path !== 'drop') this.retransmit();
  }

  setSlow(from: Machine, to: Machine, extraMs: number): void {
    const row = this.#slow[from.index];
    if (row !== undefined) row[to.index] = extraMs;
  }

  delay(from: Machine, to: Machine): number {
    const { random } = this.world;
    if (from === to) return 0.02 + random.unit() * 0.08;
    const extra = this.#slow[from.index]?.[to.index] ?? 0;
    let ms = this.latencyMs * (0.5 + random.unit()) + extra * random.unit();
    if (this.lossShare > 0)
      for (let rto = 200; rto < 7000 && random.chance(this.lossShare); rto *= 2) ms += rto;
    return ms;
  }

  /** Both directions open and both machines on. */
  connected(a: Machine, b: Machine): boolean {
    return a.powered && b.powered && this.path(a, b) === 'up' && this.path(b, a) === 'up';
  }

  wait(connection: Connection): void {
    this.#waiting.add(connection);
  }

  /** Paths or machines came back: what waited is sent again when its retransmission timer fires. */
  retransmit(): void {
    for (const connection of this.#waiting) connection.scheduleAgain();
  }

  done(connection: Connection): void {
    this.#waiting.delete(connection);
  }
}

/** The kernel's least time to send again. */
const firstRetryMs = 200;

export class Connection {
  readonly #network: Network;
  readonly ends: readonly [Machine, Machine];
  /** What the server said before it ended the session. */
  fatal: LinkFailure | null = null;
  /** Is the process at that end still holding its socket? */
  readonly open: [boolean, boolean] = [true, true];
  readonly onEnd: [((how: Ending) => void) | null, ((how: Ending) => void) | null] = [null, null];
  readonly #last: [number, number] = [0, 0];
  readonly #queue: [(() => void)[], (() => void)[]] = [[], []];
  readonly #since: [number, number] = [0, 0];
  readonly #scheduled: [boolean, boolean] = [false, false];
  /** The client has sent something since it last heard from the server. */
  #asked = false;
  /** What is on its way: order is kept, so each arrival is that of the oldest. */
  readonly #flight: [(() => void)[], (() => void)[]] = [[], []];
  readonly #arrivals: [() => void, () => void] = [() => this.#arrive(0), () => this.#arrive(1)];

  constructor(network: Network, from: Machine, to: Machine) {
    this.#network = network;
    this.ends = [from, to];
  }

  /** Both ends are there, and nothing that a cut swallowed waits to be sent again. */
  get isWhole(): boolean {
    return this.open.every(Boolean) && this.#queue.every((queue) => queue.length === 0);
  }

  send(side: 0 | 1, deliver: () => void): void {
    if (!this.open[side]) return;
    if (side === 0) this.#asked = true;
    this.#transmit(side, deliver);
  }

  #transmit(side: 0 | 1, deliver: () => void): void {
    const other = side === 0 ? 1 : 0;
    const from = this.ends[side];
    const to = this.ends[other];
    const path = this.#network.path(from, to);
    if (path === 'drop' || this.#queue[side].length > 0) {
      this.#keep(side, deliver);
      return;
    }
    if (path === 'reject') {
      this.#reset(side);
      if (side === 1 && this.#asked) this.#sendRequestAgain();
      return;
    }
    const { world } = this.#network;
    const at = Math.max(world.now + this.#network.delay(from, to), this.#last[side]);
    this.#last[side] = at;
    this.#flight[side].push(deliver);
    world.at(at, this.#arrivals[side]);
  }

  #keep(side: 0 | 1, deliver: () => void): void {
    const queue = this.#queue[side];
    if (queue.length === 0) this.#since[side] = this.#network.world.now;
    queue.push(deliver);
    this.#network.wait(this);
  }

  #arrive(side: 0 | 1): void {
    const other = side === 0 ? 1 : 0;
    const deliver = this.#flight[side].shift();
    if (deliver === undefined) throw new Error('a message arrived that nobody sent');
    if (side === 1) this.#asked = false;
    if (!this.ends[other].powered) {
      this.#keep(side, deliver);
      return;
    }
    if (this.open[other]) deliver();
    else if (this.open[side]) this.#refuse(side, deliver);
  }

  /** The peer's kernel answers with a reset; where that does not get through the message is sent again. */
  #refuse(side: 0 | 1, deliver: () => void): void {
    const other = side === 0 ? 1 : 0;
    if (this.#network.path(this.ends[other], this.ends[side]) === 'up') this.#reset(side);
    else this.#keep(side, deliver);
  }

  /**
   * An answer was rejected on its way, and with it the acknowledgement of the request: the client's kernel sends that
   * again until it hears that the other end is gone. So a client does not wait for its answer once the path is back.
   */
  #sendRequestAgain(): void {
    if (!this.open[0]) return;
    this.#keep(0, () => undefined);
    if (this.#scheduled[0]) return;
    this.#scheduled[0] = true;
    this.#network.world.after(firstRetryMs, () => this.#again(0));
  }

  #reset(side: 0 | 1): void {
    const { world } = this.#network;
    const other = side === 0 ? 1 : 0;
    world.after(this.#network.delay(this.ends[other], this.ends[side]), () => this.#end(side, 'reset'));
  }

  #end(side: 0 | 1, how: Ending): void {
    if (!this.open[side]) return;
    this.open[side] = false;
    this.#queue[side] = [];
    this.onEnd[side]?.(how);
  }

  /** The process at that end closed its socket or died: what it sent before still goes out, then the end of it. */
  close(side: 0 | 1): void {
    if (!this.open[side]) return;
    this.open[side] = false;
    const other = side === 0 ? 1 : 0;
    this.#transmit(side, () => this.#end(other, 'closed'));
  }

  /** The machine at that end lost power: nothing more comes from there. */
  vanish(side: 0 | 1): void {
    this.open[side] = false;
    this.#queue[side] = [];
  }

  /** Retransmission backs off: after a long cut the next try may take as long again. */
  scheduleAgain(): void {
    const { world } = this.#network;
    for (const side of [0, 1] as const) {
      const other = side === 0 ? 1 : 0;
      if (this.#queue[side].length === 0 || this.#scheduled[side]) continue;
      if (this.#network.path(this.ends[side], this.ends[other]) === 'drop' || !this.ends[other].powered)
        continue;
      this.#scheduled[side] = true;
      const waited = Math.min(world.now - this.#since[side], 60_000);
      world.after(1 + world.random.unit() * waited, () => this.#again(side));
    }
    if (this.#queue[0].length === 0 && this.#queue[1].length === 0) this.#network.done(this);
  }

  #again(side: 0 | 1): void {
    this.#scheduled[side] = false;
    const queue = this.#queue[side];
    this.#queue[side] = [];
    for (const deliver of queue) this.#transmit(side, deliver);
  }
}
