/**
 * A host: one machine, its server, its worker process. The production worker and core run here unchanged, through ports
 * over the modelled servers. The worker can crash, stall and restart; clocks drift and jump; a machine loses power.
 */
import type { KeeperEvent } from '../../src/core/events.js';
import { type ReasonRecord, sentence } from '../../src/core/reasons.js';
import type { CoreSettings } from '../../src/core/types.js';
import type { Emit, HookCall, Ports } from '../../src/ports.js';
import type { Worker } from '../../src/worker/worker.js';
import { GuardModel } from './guard-model.js';
import { HostClock } from './host-clock.js';
import type { Machine } from './network.js';
import { OwnServerModel } from './own-server-model.js';
import { PoolsModel } from './pools-model.js';
import { ProbeModel } from './probe-model.js';
import type { Server } from './server.js';
import { SessionsModel } from './sessions-model.js';
import { shapedSettings } from './shapes.js';
import type { World } from './world.js';

export type WorkerClass = typeof Worker;

/** A rule that the adapters carry, missing. */
export type Mistake = 'statements-apart' | 'signal-last' | 'rejoin-blind' | 'handover-unmarked';

export interface HostWatcher {
  decided(host: Host, record: ReasonRecord, state: string): void;
  workerFailed(host: Host, error: unknown): void;
}

export class Host implements Machine {
  readonly name: string;
  readonly index: number;
  readonly world: World;
  readonly #workerClass: WorkerClass;
  readonly #watcher: HostWatcher;
  powered = true;
  paused = false;
  #onAwake: (() => void)[] = [];
  server!: Server;
  settings: CoreSettings;
  worker: Worker | null = null;
  state = '';
  /** Which start of the worker this is; answers for an earlier one reach nobody. */
  generation = 0;
  stalled = false;
  /** True time since which the worker has been running without a pause. */
  runningSince = 0;
  /** Since when the present worker is there. */
  workerSince = 0;
  /** When the last worker went or was stopped. */
  unattendedSince = Number.NEGATIVE_INFINITY;
  /** When the first worker started beside the server that runs now, if that was there before. */
  attendedAt = 0;
  /** The start of the server that the present worker waits for: before it that worker knows no cluster. 0 = it found a server. */
  awaitedIncarnation = 0;
  /** When a worker here last spoke for a lease. */
  leaseAt = Number.NEGATIVE_INFINITY;
  /** The guard was taken away, by a fault or by a clean stop of the worker. */
  unguarded = false;
  /** Mistakes in what carries the core's decisions out: plays without a rule of that side. */
  readonly mistakes = new Set<Mistake>();
  /** Does fencing_command succeed? */
  hookWorks = true;
  listensTo: string | null = null;
  readonly clock: HostClock;
  readonly guard: GuardModel;
  /** The machine went on after a pause: when, and how much monotonic time it lost. */
  awakeAt = Number.NEGATIVE_INFINITY;
  lostMs = 0;
  #backlog: (() => void)[] = [];
  #sessions: SessionsModel | null = null;
  #ownServer: OwnServerModel | null = null;

  constructor(
    world: World,
    name: string,
    index: number,
    settings: CoreSettings,
    workerClass: WorkerClass,
    watcher: HostWatcher,
  ) {
    this.world = world;
    this.name = name;
    this.index = index;
    this.settings = settings;
    this.#workerClass = workerClass;
    this.#watcher = watcher;
    this.clock = new HostClock(world, (action) => this.run(action));
    this.guard = new GuardModel(this);
  }

  // ---- the worker process ----

  /** Something for the worker's event loop. A stalled process finds it when it goes on. */
  run(action: () => void): void {
    if (this.worker === null) return;
    if (this.stalled) {
      const { generation } = this;
      this.#backlog.push(() => {
        if (this.generation === generation) this.run(action);
      });
      return;
    }
    try {
      action();
    } catch (error) {
      this.#watcher.workerFailed(this, error);
      this.killWorker();
    }
  }

  startWorker(): void {
    if (this.worker !== null || !this.powered) return;
    this.generation += 1;
    this.stalled = false;
    this.runningSince = this.world.now;
    this.workerSince = this.world.now;
    if (this.attendedAt < this.server.bornAt) this.attendedAt = this.world.now;
    this.awaitedIncarnation = this.server.life === 'down' ? this.server.incarnation + 1 : 0;
    this.unguarded = false;
    this.#backlog = [];
    this.clock.forget();
    this.listensTo = null;
    const settings = shapedSettings(this.settings, this.name, this.world.random.integer(1, 0x7fff_ffff));
    this.world.say(this.name, 'worker starts');
    try {
      this.worker = new this.#workerClass(
        settings,
        (emit) => this.#ports(emit),
        (view) => {
          this.state = view.state;
        },
      );
      this.worker.start();
    } catch (error) {
      this.#watcher.workerFailed(this, error);
      this.killWorker();
    }
  }

  #ports(emit: Emit): Ports {
    const { generation } = this;
    const guarded: Emit = (event: KeeperEvent) => {
      if (this.generation === generation) this.run(() => emit(event));
    };
    this.#sessions = new SessionsModel(this, guarded);
    this.#ownServer = new OwnServerModel(this, guarded);
    return {
      clock: this.clock,
      voters: this.#sessions,
      probe: new ProbeModel(this, guarded),
      notifications: {
        listen: (voter) => {
          this.listensTo = voter;
        },
        end: () => Promise.resolve(),
      },
      server: this.#ownServer,
      guard: this.guard.newLink(),
      pools: new PoolsModel(this, guarded),
      hooks: { run: (call) => this.#hook(call, guarded) },
      log: {
        decision: (record, state) => {
          if (this.world.transcript !== null) this.world.say(this.name, `[${state}] ${sentence(record)}`);
          this.#watcher.decided(this, record, state);
        },
      },
    };
  }

  #hook(call: HookCall, emit: Emit): void {
    const { hook, event } = call;
    if (hook === 'async') return;
    const isFencing = hook === 'fencing';
    const ok = !isFencing || this.hookWorks;
    const detail = ok ? '' : 'exit code 1';
    this.world.after(isFencing || this.settings.poolPauseMs > 0 ? this.world.random.tail(100, 3000) : 0, () =>
      emit({ kind: 'hook-done', hook, event, ok, detail, ran: isFencing }),
    );
  }

  /** A notification from the master's registry. */
  hint(): void {
    this.run(() => this.worker?.hint());
  }

  /** kill -9: the kernel closes its sockets, so its votes are free at once. */
  killWorker(): void {
    if (this.worker === null) return;
    this.world.say(this.name, 'worker is gone');
    this.#forgetWorker();
    this.#sessions?.closeAll();
  }

  #forgetWorker(): void {
    this.worker = null;
    this.unattendedSince = this.world.now;
    this.state = '';
    this.generation += 1;
    this.stalled = false;
    this.#backlog = [];
    this.clock.forget();
    this.#ownServer?.workerGone();
    this.guard.workerGone();
  }

  /** SIGTERM. */
  stopWorker(): void {
    const { worker } = this;
    if (worker === null) return;
    if (!this.stalled) worker.stop().catch(() => undefined);
    this.killWorker();
    this.unguarded = !this.guard.armed;
  }

  /** SIGSTOP. */
  stallWorker(): void {
    if (this.worker === null || this.stalled) return;
    this.world.say(this.name, 'worker stalls');
    this.stalled = true;
    this.unattendedSince = this.world.now;
  }

  resumeWorker(): void {
    if (!this.stalled) return;
    this.world.say(this.name, 'worker goes on');
    this.stalled = false;
    this.runningSince = this.world.now;
    const backlog = this.#backlog;
    this.#backlog = [];
    // Timers first, then sockets, or the other way round: both orders happen.
    for (const action of backlog) this.world.after(0.01, action);
    this.clock.resume();
  }

  /** What is done to a paused machine happens when it goes on. */
  whenAwake(action: () => void): void {
    if (this.paused) this.#onAwake.push(action);
    else action();
  }

  pause(): void {
    this.paused = true;
    this.server.freeze();
    this.stallWorker();
  }

  /** Whether monotonic time went on meanwhile is the hypervisor's business. */
  unpause(lostMs: number): void {
    if (!this.paused) return;
    this.paused = false;
    this.awakeAt = this.world.now;
    this.lostMs = lostMs;
    this.clock.loseMonotonic(lostMs);
    this.server.thaw();
    this.resumeWorker();
    const waiting = this.#onAwake;
    this.#onAwake = [];
    for (const action of waiting) action();
  }

  /** Power off: nobody is told anything. */
  powerOff(): void {
    if (!this.powered) return;
    this.world.say(this.name, 'loses power');
    this.server.loseUpstream();
    this.#sessions?.vanishAll();
    this.#forgetWorker();
    this.guard.die();
    this.server.crash('power');
    this.powered = false;
  }

  powerOn(): void {
    if (this.powered) return;
    this.world.say(this.name, 'has power again');
    this.powered = true;
    this.server.around.network.retransmit();
  }
}
