/**
 * A modelled PostgreSQL server: what survives a crash, what does not, starting, stopping, sessions and locks, reloads
 * process by process, the startup process. Streaming is replication.ts, waiting commits sync-replication.ts, statements
 * of workers backend.ts.
 */
import type { LinkFailure, Registry } from '../../src/core/types.js';
import type { Configuration } from './configuration.js';
import { namesOf, syncSetting } from './configuration.js';
import type { Connection, Machine, Network } from './network.js';
import { WalReceiver, type WalSender } from './replication.js';
import { type CommitWaiter, releaseAll } from './sync-replication.js';
import { type Branch, branchAt, rowAt } from './wal.js';
import type { World } from './world.js';

/** What the checkers want to hear of a server. */
export interface ServerWatcher {
  flushed(server: Server): void;
  rowWritten(server: Server): void;
  acknowledged(server: Server, lsn: number, by: WalSender | null): void;
  promoted(server: Server): void;
  merged(server: Server, why: string): void;
}

export interface Surroundings {
  readonly world: World;
  readonly network: Network;
  readonly watcher: ServerWatcher;
  serverNamed(name: string): Server | undefined;
  newBranch(tli: number, parent: Branch | null, forkLsn: number, writer: string): Branch;
  /** is_nextmaster and is_sync as last written on a branch. */
  readonly flags: Map<Branch, string>;
  /** NOTIFY pgkeeper. */
  notify(server: Server): void;
}

export class Session {
  readonly server: Server;
  readonly connection: Connection;
  readonly kind: 'worker' | 'client' | 'probe';
  readonly database: string;
  /** The node whose worker this is. */
  owner = '';
  configuration: Configuration;
  alive = true;
  locked = false;
  /** idle_session_timeout in true ms; 0 = none. */
  idleTimeoutMs = 0;
  idleSince: number;
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

export type Life = 'down' | 'starting' | 'up' | 'stopping';

export class Server {
  readonly name: string;
  readonly kind: 'node' | 'witness';
  readonly machine: Machine;
  readonly around: Surroundings;
  systemIdentifier: string;
  /** Speed of this machine's clock against true time. */
  rate = 1;

  // What the disk keeps.
  branch: Branch;
  end: number;
  configuration: Configuration;
  standbySignal: boolean;
  cleanShutdown = true;
  broken = false;

  // What a restart forgets.
  life: Life = 'down';
  incarnation = 0;
  frozen = false;
  /** When it last went on after a freeze. */
  thawedAt = Number.NEGATIVE_INFINITY;
  bornAt = 0;
  /** For the transcript: the same refusal is said once. */
  lastRefusal = '';
  inRecovery = true;
  replayed = 0;
  atEnd = false;
  receiverRan = false;
  receiver: WalReceiver | null = null;
  readonly senders: WalSender[] = [];
  readonly sessions = new Set<Session>();
  /** Holder of the vote by database. */
  readonly locks = new Map<string, Session>();
  postmasterConfiguration: Configuration;
  startupConfiguration: Configuration;
  waitingOn = false;
  released = 0;
  waiters: CommitWaiter[] = [];
  promoteRequested = false;
  replayPaused = false;
  #backlog: (() => void)[] = [];
  #replayScheduled = false;
  #receiverRetryAt = 0;
  #receiverRetryScheduled = false;
  #promoting = false;
  #whenDown: (() => void)[] = [];

  // Faults.
  /** Extra time of a flush to disk. */
  diskMs = 0;
  /** The checkpointer is in long fsyncs until then and takes no reload in. */
  checkpointerBusyUntil = 0;
  /** Replay needs that much longer for each step. */
  replayDelayMs = 0;
  connectionsFull = false;
  /** pg_ctl start fails. */
  startFails = false;

  constructor(
    name: string,
    kind: 'node' | 'witness',
    machine: Machine,
    around: Surroundings,
    systemIdentifier: string,
    branch: Branch,
    configuration: Configuration,
  ) {
    this.name = name;
    this.kind = kind;
    this.machine = machine;
    this.around = around;
    this.systemIdentifier = systemIdentifier;
    this.branch = branch;
    this.end = branch.tip;
    this.configuration = configuration;
    this.postmasterConfiguration = configuration;
    this.startupConfiguration = configuration;
    this.standbySignal = configuration.primaryConninfo !== '';
  }

  get writable(): boolean {
    return this.life === 'up' && !this.inRecovery;
  }

  get row(): Registry | null {
    return rowAt(this.branch, this.inRecovery ? this.replayed : this.end)?.row ?? null;
  }

  say(what: string): void {
    this.around.world.say(`${this.name} pg`, what);
  }

  /** Something a process of this incarnation does later; a frozen server does it when it goes on. */
  at(when: number, action: () => void): void {
    const { incarnation } = this;
    const run = () => {
      if (this.incarnation !== incarnation) return;
      if (this.frozen) this.#backlog.push(run);
      else action();
    };
    this.around.world.at(when, run);
  }

  after(ms: number, action: () => void): void {
    this.at(this.around.world.now + ms, action);
  }

  /** A message for one of this server's processes. */
  receiveMessage(action: () => void): void {
    if (this.frozen) {
      const { incarnation } = this;
      this.#backlog.push(() => {
        if (this.incarnation === incarnation) action();
      });
    } else action();
  }

  freeze(): void {
    if (this.life === 'down' || this.frozen) return;
    this.frozen = true;
    this.say('frozen');
  }

  thaw(): void {
    if (!this.frozen) return;
    this.frozen = false;
    this.thawedAt = this.around.world.now;
    this.say('goes on');
    const backlog = this.#backlog;
    this.#backlog = [];
    // Messages of one connection stay in order; who runs first among processes is anybody's guess.
    const late = backlog.filter(() => this.around.world.random.chance(0.3));
    for (const action of backlog) if (!late.includes(action)) this.around.world.after(0.01, action);
    for (const action of late) this.around.world.after(0.05, action);
  }

  // ---- life ----

  start(): boolean {
    if (this.life !== 'down' || !this.machine.powered || this.broken || this.startFails) return false;
    this.lastRefusal = '';
    const { world } = this.around;
    this.life = 'starting';
    this.incarnation += 1;
    this.bornAt = world.now;
    this.cleanShutdown = false;
    this.inRecovery = this.standbySignal;
    this.postmasterConfiguration = this.configuration;
    this.startupConfiguration = this.configuration;
    this.waitingOn = namesOf(this.configuration) !== '';
    this.released = 0;
    this.waiters = [];
    this.promoteRequested = false;
    this.#promoting = false;
    this.replayPaused = false;
    this.atEnd = false;
    this.receiverRan = false;
    this.#replayScheduled = false;
    this.#receiverRetryAt = 0;
    this.#receiverRetryScheduled = false;
    this.say(`starts as ${this.inRecovery ? 'standby' : 'master'}`);
    const consistentMs = world.random.tail(400, 4000);
    if (!this.inRecovery) {
      this.replayed = this.end;
      this.atEnd = true;
      this.after(consistentMs, () => this.#up());
      return true;
    }
    // Consistent somewhere before the end of its own WAL; the rest is read afterwards.
    const readMs = world.random.chance(0.7) ? 0 : world.random.tail(500, 8000) + this.replayDelayMs;
    const back = readMs > 0 ? world.random.integer(0, 2000) : 0;
    this.replayed = Math.max(this.end - back, 0);
    this.after(consistentMs, () => {
      this.#up();
      this.after(readMs, () => {
        this.replayed = this.end;
        this.atEnd = true;
        this.startupStep();
      });
    });
    return true;
  }

  #up(): void {
    this.life = 'up';
    this.say(
      `accepts connections${this.inRecovery ? ' (in recovery)' : ''} at ${this.branch.tli}:${this.end}`,
    );
  }

  /** kill -9 of every process; the machine's kernel ends the connections. */
  crash(why: string): void {
    if (this.life === 'down') return;
    this.say(`crashes: ${why}`);
    this.#down(false);
  }

  #down(clean: boolean): void {
    this.life = 'down';
    this.cleanShutdown = clean;
    this.incarnation += 1;
    this.frozen = false;
    this.#backlog = [];
    for (const session of this.sessions) {
      session.alive = false;
      session.connection.close(1);
    }
    this.sessions.clear();
    this.locks.clear();
    this.waiters = [];
    for (const sender of this.senders) sender.connection.close(1);
    this.senders.length = 0;
    this.receiver?.end();
    this.receiver = null;
    const whenDown = this.#whenDown;
    this.#whenDown = [];
    for (const action of whenDown) this.around.world.after(1, action);
  }

  /** The machine loses power: nobody is told. */
  loseUpstream(): void {
    for (const session of this.sessions) session.connection.vanish(1);
    for (const sender of this.senders) sender.connection.vanish(1);
    this.receiver?.connection?.vanish(0);
  }

  /** One backend died: shared memory is made anew by the same postmaster, which comes back by itself. */
  restartAfterBackendCrash(): void {
    if (this.life !== 'up' || this.frozen) return;
    this.say('a backend crashed: the postmaster starts over');
    this.#down(false);
    this.start();
  }

  /** pg_ctl stop -m fast. */
  stop(done: () => void): void {
    if (this.life === 'down') return done();
    this.#whenDown.push(done);
    if (this.life === 'stopping') return;
    this.say('shuts down');
    this.life = 'stopping';
    for (const session of [...this.sessions]) this.endSession(session, 'planned-stop', 'shutdown');
    this.waiters = [];
    this.promoteRequested = false;
    // Walsenders stay until their standbys have the rest, if these answer.
    this.after(this.around.world.random.between(50, 600), () => {
      this.say('is shut down');
      this.#down(true);
    });
  }

  // ---- sessions ----

  /** A new connection arrives. Answers with a session or with the reason why not. */
  accept(
    connection: Connection,
    kind: Session['kind'],
    database: string,
    answer: (result: Session | LinkFailure) => void,
  ): void {
    if (this.life === 'down') return answer('refused');
    this.receiveMessage(() => {
      if (this.life === 'down') answer('refused');
      else if (this.life === 'starting') answer('starting-up');
      else if (this.life === 'stopping') answer('shutting-down');
      else if (this.connectionsFull && kind !== 'worker') answer('speaks');
      else {
        const session = new Session(this, connection, kind, database);
        this.sessions.add(session);
        connection.onEnd[1] = () => this.receiveMessage(() => this.forgetSession(session));
        answer(session);
      }
    });
  }

  forgetSession(session: Session): void {
    if (!session.alive) return;
    session.alive = false;
    this.unlock(session);
    this.sessions.delete(session);
    if (session.blocksReplay) this.scheduleReplay();
    if (this.waiters.length > 0) this.waiters = this.waiters.filter((waiter) => waiter.session !== session);
  }

  unlock(session: Session): void {
    if (!session.locked) return;
    session.locked = false;
    if (this.locks.get(session.database) === session) this.locks.delete(session.database);
  }

  /** FATAL on the server's side: the reason, then the end of the connection. */
  endSession(session: Session, failure: LinkFailure, why: string): void {
    if (!session.alive) return;
    this.forgetSession(session);
    const { connection } = session;
    connection.send(1, () => this.onFatal?.(connection, failure, why));
    connection.close(1);
  }

  /** Set by the composition: hands a FATAL message to whoever holds the other end. */
  onFatal: ((connection: Connection, failure: LinkFailure, why: string) => void) | null = null;

  endClients(except: Session): void {
    for (const session of [...this.sessions])
      if (session !== except && session.kind !== 'worker') this.endSession(session, 'cut', 'terminated');
  }

  // ---- configuration ----

  alterSystem(change: Partial<Configuration>): void {
    this.configuration = { ...this.configuration, ...change };
  }

  /** pg_reload_conf(): the postmaster first, then every process when it gets to it, with the files as they are then. */
  reload(): void {
    const { random } = this.around.world;
    this.after(random.tail(1, 30), () => {
      this.postmasterConfiguration = this.configuration;
      this.after(random.tail(2, 60), () => this.#reloadCheckpointer());
      this.after(random.tail(2, 60), () => {
        const changed = this.startupConfiguration.primaryConninfo !== this.configuration.primaryConninfo;
        this.startupConfiguration = this.configuration;
        if (changed) this.#receiverRetryAt = 0;
        this.startupStep();
      });
      for (const sender of [...this.senders])
        this.after(random.tail(3, sender.slowReload ? 4000 : 80), () => sender.reload());
    });
  }

  #reloadCheckpointer(): void {
    const { now } = this.around.world;
    if (now < this.checkpointerBusyUntil) {
      this.at(this.checkpointerBusyUntil, () => this.#reloadCheckpointer());
      return;
    }
    const on = syncSetting(namesOf(this.configuration)).needed > 0;
    if (on === this.waitingOn) return;
    this.waitingOn = on;
    if (!on) releaseAll(this);
  }

  // ---- WAL ----

  /** Appends a record that is flushed at once. Returns its end. */
  append(size: number): number {
    if (this.branch.tip > this.end) {
      // Others hold more of this history: what is written here is another one with the same number.
      this.branch = this.around.newBranch(this.branch.tli, this.branch, this.end, this.name);
    }
    this.branch.tip += size;
    this.end = this.branch.tip;
    this.replayed = this.end;
    for (const sender of this.senders) sender.kick();
    return this.end;
  }

  writeRow(row: Registry): number {
    const lsn = this.append(180);
    this.branch.rows.push({
      id: this.branch.id * 1_000_000 + this.branch.rows.length,
      branch: this.branch,
      lsn,
      row,
      flushedBy: new Set(),
      established: false,
    });
    this.say(
      `writes row (epoch ${row.epoch}, version ${row.version}): ${row.syncNeeded}/${row.syncWished} of {${row.syncMembers.join(', ')}}, voters ${row.voters.map((voter) => voter.name).join(' ')}`,
    );
    this.around.watcher.rowWritten(this);
    this.around.watcher.flushed(this);
    this.around.notify(this);
    return lsn;
  }

  /** The WAL receiver has flushed up to `lsn` of that history. */
  received(branch: Branch, lsn: number): void {
    if (lsn <= this.end) return;
    const before = branchAt(this.branch, this.end);
    this.branch = branchAt(branch, lsn);
    const rowsBefore = this.end;
    this.end = lsn;
    if (this.branch !== before || (this.branch.rows.at(-1)?.lsn ?? 0) > rowsBefore)
      this.around.watcher.flushed(this);
    for (const sender of this.senders) sender.kick();
    this.scheduleReplay();
  }

  get #replayBlocked(): boolean {
    if (this.replayPaused && !this.promoteRequested) return true;
    for (const session of this.sessions) if (session.blocksReplay) return true;
    return false;
  }

  scheduleReplay(): void {
    if (this.#replayScheduled || !this.atEnd || this.replayed >= this.end || this.life !== 'up') return;
    if (this.#replayBlocked) return;
    this.#replayScheduled = true;
    const target = this.end;
    this.after(this.around.world.random.tail(1, 40) + this.replayDelayMs, () => {
      this.#replayScheduled = false;
      if (this.#replayBlocked) return;
      this.replayed = Math.max(this.replayed, Math.min(target, this.end));
      if (this.replayed < this.end) this.scheduleReplay();
      else this.startupStep();
    });
  }

  // ---- the startup process ----

  /** What it does whenever it needs WAL that is not there. */
  startupStep(): void {
    if (!this.inRecovery || this.life === 'down' || this.life === 'stopping' || !this.atEnd) return;
    if (this.replayed < this.end) return this.scheduleReplay();
    if (this.promoteRequested) return this.#finishRecovery();
    const { primaryConninfo } = this.startupConfiguration;
    if (this.receiver !== null && this.receiver.conninfo !== primaryConninfo) this.endReceiver('re-pointed');
    if (this.receiver === null && primaryConninfo !== '' && this.kind === 'node') this.#startReceiver();
  }

  #startReceiver(): void {
    const { world } = this.around;
    if (world.now < this.#receiverRetryAt) {
      if (this.#receiverRetryScheduled) return;
      this.#receiverRetryScheduled = true;
      this.at(this.#receiverRetryAt, () => {
        this.#receiverRetryScheduled = false;
        this.startupStep();
      });
      return;
    }
    this.receiver = new WalReceiver(this, this.startupConfiguration.primaryConninfo);
    this.receiver.connect();
  }

  /** The stream ended: the next try after wal_retrieve_retry_interval. */
  receiverGone(receiver: WalReceiver): void {
    if (this.receiver !== receiver) return;
    this.receiver = null;
    this.#receiverRetryAt = this.around.world.now + (this.startupConfiguration.shortRetry ? 40 : 5000);
    this.startupStep();
  }

  endReceiver(why: string): void {
    const { receiver } = this;
    if (receiver === null) return;
    this.say(`ends its WAL receiver: ${why}`);
    receiver.end();
    this.receiver = null;
  }

  /** pg_promote(false). */
  requestPromotion(): void {
    this.promoteRequested = true;
    const { random } = this.around.world;
    this.after(this.startupConfiguration.shortRetry ? random.tail(20, 300) : random.between(0, 5000), () => {
      this.scheduleReplay();
      this.startupStep();
    });
  }

  #finishRecovery(): void {
    if (this.#promoting) return;
    this.#promoting = true;
    this.endReceiver('promoted');
    this.after(this.around.world.random.tail(20, 200), () => {
      const parent = branchAt(this.branch, this.end);
      this.branch = this.around.newBranch(parent.tli + 1, parent, this.end, this.name);
      this.inRecovery = false;
      this.standbySignal = false;
      this.promoteRequested = false;
      this.#promoting = false;
      this.append(114);
      this.say(`is out of recovery: tli ${this.branch.tli} from ${this.branch.forkLsn}`);
      for (const sender of this.senders) sender.becamePrimary();
      this.around.watcher.promoted(this);
    });
  }
}
