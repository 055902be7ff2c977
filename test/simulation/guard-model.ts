/**
 * The guard of a host (src/process/guard.ts and guard-link.ts): a process of its own that ends the server at its deadline.
 * It survives the worker, dies with the machine, sleeps with it, and can be killed.
 */
import type { GuardOrder } from '../../src/core/guard-deadline.js';
import { holdNames } from '../../src/core/types.js';
import type { Guard } from '../../src/ports.js';
import type { Host } from './host.js';
import { markFenced } from './own-server-model.js';

type Order = Exclude<GuardOrder, { readonly kind: 'unchanged' }>;

/** A worker starts its guard at most so often. */
const startBoundMs = 5000;
const retryMs = 250;
/** Without a worker and without an order it leaves. */
const leaveMs = 1000;

export class GuardModel {
  readonly #host: Host;
  /** The process runs. */
  alive = false;
  #order: Order = { kind: 'stand-down' };
  #link: GuardLinkModel | null = null;
  #ending = false;
  /** Spawned and not yet running; null = nothing is on its way. */
  #spawned: object | null = null;
  #lookAt = Number.POSITIVE_INFINITY;

  constructor(host: Host) {
    this.#host = host;
  }

  /** It will end the server unless it hears something else. */
  get armed(): boolean {
    return this.alive && this.#order.kind === 'end-at';
  }

  /** True time of the end it was told; Infinity = none. */
  get endsAt(): number {
    const order = this.#order;
    return this.alive && order.kind === 'end-at' ? this.#host.clock.trueTimeOf(order.at) : Infinity;
  }

  /** A worker that starts finds the guard of the one before, with what that one said last. */
  newLink(): Guard {
    this.#link = new GuardLinkModel(this.#host, this);
    return this.#link;
  }

  isLink(link: GuardLinkModel): boolean {
    return this.#link === link;
  }

  workerGone(): void {
    this.#link = null;
    this.leaveIfIdle();
  }

  /** A process of its own from now on, with its first order on its input: it gets that also if its worker dies at once. */
  spawn(order: Order): void {
    const { world } = this.#host;
    const spawned = {};
    this.#spawned = spawned;
    world.after(world.random.tail(40, 600), () =>
      this.#host.whenAwake(() => {
        if (this.#spawned !== spawned) return;
        this.#spawned = null;
        this.start();
        this.tell(order);
        this.#link?.met();
      }),
    );
  }

  start(): void {
    this.alive = true;
    this.#ending = false;
    this.#order = { kind: 'stand-down' };
  }

  /** kill -9, or the machine lost power. */
  die(): void {
    if (!this.alive && this.#spawned === null) return;
    this.alive = false;
    this.#spawned = null;
    this.#host.unguarded = true;
    this.#host.world.say(this.#host.name, 'guard is gone');
    this.#link?.lost();
  }

  tell(order: Order): void {
    if (!this.alive || this.#ending) return;
    this.#order = this.#earlier(order);
    if (this.#order.kind === 'end-at') {
      this.#host.unguarded = false;
      this.#watch(this.#order.at);
    } else this.leaveIfIdle();
  }

  /** Only a proven lease moves the end back. */
  #earlier(order: Order): Order {
    const before = this.#order;
    if (order.kind !== 'end-at' || before.kind !== 'end-at' || order.proven || before.at > order.at)
      return order;
    return { ...order, at: before.at };
  }

  leaveIfIdle(): void {
    const { world } = this.#host;
    world.after(leaveMs, () => {
      if (this.#link === null && this.#order.kind === 'stand-down' && !this.#ending) this.alive = false;
    });
  }

  /** One look at a time: deadlines move on with every renewal. */
  #watch(at: number): void {
    const { world, clock } = this.#host;
    const trueAt = Number.isFinite(at) ? Math.max(world.now, clock.trueTimeOf(at)) : world.now;
    if (this.#lookAt <= trueAt) return;
    this.#lookAt = trueAt;
    world.at(trueAt, () => this.#look(trueAt));
  }

  #look(scheduled: number): void {
    if (this.#lookAt !== scheduled) return;
    this.#lookAt = Number.POSITIVE_INFINITY;
    this.#host.whenAwake(() => {
      const order = this.#order;
      if (!this.alive || this.#ending || order.kind !== 'end-at') return;
      if (this.#host.clock.monotonicMs() < order.at - 0.01) return this.#watch(order.at);
      this.#endServer(order.syncWished);
    });
  }

  /** The end first, whatever the disk says; processes are killed, which a frozen server does not survive either. */
  #endServer(syncWished: boolean): void {
    const { server, world } = this.#host;
    this.#ending = true;
    server.say('is ended by its guard');
    server.standbySignal = true;
    world.after(world.random.tail(5, 100), () =>
      this.#host.whenAwake(() => {
        if (!this.alive) return;
        server.crash('ended by its guard');
        markFenced(server, syncWished ? holdNames : null);
        this.alive = false;
        this.#link?.lost();
      }),
    );
  }
}

/** The worker's side: starts the guard when there is something to guard, and again when it is gone. */
class GuardLinkModel implements Guard {
  readonly #host: Host;
  readonly #guard: GuardModel;
  /** Null before the first order: a guard of the worker before may still have one of its own. */
  #last: Order | null = null;
  #startedAt = Number.NEGATIVE_INFINITY;
  #starting = false;

  constructor(host: Host, guard: GuardModel) {
    this.#host = host;
    this.#guard = guard;
  }

  tell(order: GuardOrder): void {
    if (order.kind === 'unchanged') return;
    if (order.kind === 'end-at' && order.proven) this.#host.leaseAt = this.#host.world.now;
    if (this.#last !== null && isSame(order, this.#last)) return;
    this.#last = order;
    if (this.#guard.alive) this.#guard.tell(order);
    else if (order.kind === 'end-at') this.lost();
  }

  /** A clean stop takes the guard along, unless its server stays guarded without a worker. */
  end(stays: boolean): Promise<void> {
    if (!stays) this.#guard.tell({ kind: 'stand-down' });
    return Promise.resolve();
  }

  /** No guard: one is started and told what was said last. */
  lost(): void {
    if (this.#starting || this.#last === null || this.#last.kind === 'stand-down') return;
    const { world } = this.#host;
    this.#starting = true;
    const isFirst = this.#startedAt === Number.NEGATIVE_INFINITY;
    const waitMs = isFirst ? 0 : Math.max(retryMs, this.#startedAt + startBoundMs - world.now);
    this.#startedAt = world.now + waitMs;
    world.after(waitMs + world.random.tail(0.2, 5), () =>
      this.#host.run(() => {
        this.#starting = false;
        if (!this.#guard.isLink(this) || this.#last === null || this.#last.kind === 'stand-down') return;
        if (this.#guard.alive) this.#guard.tell(this.#last);
        else this.#guard.spawn(this.#last);
      }),
    );
  }

  /** What was said since it was spawned. */
  met(): void {
    if (this.#last !== null) this.#guard.tell(this.#last);
  }
}

function isSame(a: Order, b: Order): boolean {
  if (a.kind !== 'end-at' || b.kind !== 'end-at') return a.kind === b.kind;
  return a.at === b.at && a.syncWished === b.syncWished && a.proven === b.proven;
}
