/**
 * A modelled PostgreSQL server: what survives a crash, what does not, starting, stopping, sessions and locks, reloads
 * process by process. The startup process is recovery.ts, streaming replication.ts, waiting commits sync-replication.ts,
 * statements of workers backend.ts.
 */
import type { LinkFailure, Registry } from '../../src/core/types.js';
import type { Configuration } from './configuration.js';
import { canonical, namesOf } from './configuration.js';
import { Execution } from './execution.js';
import type { Connection, Machine } from './network.js';
import { Recovery } from './recovery.js';
import { reloadProcesses } from './reload.js';
import type { WalSender } from './replication.js';
import { Session } from './session.js';
import type { Surroundings } from './surroundings.js';
import type { CommitWaiter } from './sync-replication.js';
import { type Branch, rowAt } from './wal.js';

/** The one row of a witness: the newest of each that it was given. */
export interface KeptRow {
  readonly registry: Registry | null;
  readonly ballot: number;
}

export const checkpointSize = 120;

export type Life = 'down' | 'starting' | 'up' | 'stopping';

export class Server extends Execution {
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
  /** Its worker stopped it for a handover that is not at its end. */
  handingOver = false;
  /** What a witness keeps of the cluster, by token. */
  readonly kept = new Map<string, KeptRow>();
  /** A witness that was replaced answers under another one. */
  address: string;

  // What a restart forgets.
  life: Life = 'down';
  bornAt = 0;
  /** For the transcript: the same refusal is said once. */
  lastRefusal = '';
  inRecovery = true;
  readonly recovery: Recovery;
  readonly senders: WalSender[] = [];
  readonly sessions = new Set<Session>();
  /** Holder of the vote by database. */
  readonly locks = new Map<string, Session>();
  postmasterConfiguration: Configuration;
  waitingOn = false;
  released = 0;
  waiters: CommitWaiter[] = [];
  #whenDown: (() => void)[] = [];

  // Faults.
  /** Extra time of a flush to disk. */
  diskMs = 0;
  /** The checkpointer is in long fsyncs until then and takes no reload in. */
  checkpointerBusyUntil = 0;
  /** Replay needs that much longer for each step. */
  replayDelayMs = 0;
  connectionsFull = false;
  /** What an operator asks of the worker here; null = nothing. */
  operatorWord: boolean | null = null;
  /** After a start its own WAL is read for so long; null = as chance has it. */
  readsWalMs: number | null = null;
  /** Its processes take so long to die when they are ended. */
  diesAfterMs = 0;
  /** An operator's session says that the pause is over, the master being gone. */
  overruled = false;
  /** pg_ctl start fails. */
  startFails = false;
  /** A mistake: the row of a witness is what was written last, not the newest. */
  movesBack = false;

  constructor(
    name: string,
    kind: 'node' | 'witness',
    machine: Machine,
    around: Surroundings,
    systemIdentifier: string,
    branch: Branch,
    configuration: Configuration,
  ) {
    super(name, around.world);
    this.address = name;
    this.kind = kind;
    this.machine = machine;
    this.around = around;
    this.systemIdentifier = systemIdentifier;
    this.branch = branch;
    this.end = branch.tip;
    this.configuration = configuration;
    this.postmasterConfiguration = configuration;
    this.recovery = new Recovery(this);
    this.standbySignal = configuration.primaryConninfo !== '';
  }

  get writable(): boolean {
    return this.life === 'up' && !this.inRecovery;
  }

  get row(): Registry | null {
    return rowAt(this.branch, this.inRecovery ? this.recovery.replayed : this.end)?.row ?? null;
  }

  override freeze(): void {
    if (this.life !== 'down') super.freeze();
  }

  start(): boolean {
    if (this.life !== 'down' || !this.machine.powered || this.broken || this.startFails) return false;
    this.lastRefusal = '';
    const { world } = this;
    this.life = 'starting';
    this.incarnation += 1;
    this.bornAt = world.now;
    this.cleanShutdown = false;
    this.handingOver = false;
    this.inRecovery = this.standbySignal;
    this.postmasterConfiguration = this.configuration;
    this.waitingOn = namesOf(this.configuration) !== '';
    this.released = 0;
    this.waiters = [];
    this.recovery.reset();
    this.say(`starts as ${this.inRecovery ? 'standby' : 'master'}`);
    const consistentMs = world.random.tail(400, 4000);
    if (!this.inRecovery) {
      this.recovery.replayed = this.end;
      this.recovery.atEnd = true;
      this.after(consistentMs, () => this.#up());
      return true;
    }
    // Consistent somewhere before the end of its own WAL; the rest is read afterwards.
    const readMs =
      this.readsWalMs ?? (world.random.chance(0.7) ? 0 : world.random.tail(500, 8000) + this.replayDelayMs);
    const back = readMs > 0 ? world.random.integer(0, 2000) : 0;
    this.recovery.replayed = Math.max(this.end - back, 0);
    this.after(consistentMs, () => {
      this.#up();
      this.after(readMs, () => {
        this.recovery.replayed = this.end;
        this.recovery.atEnd = true;
        this.recovery.startupStep();
      });
    });
    return true;
  }

  #up(): void {
    this.life = 'up';
    this.say(
      `accepts connections${this.inRecovery ? ' (in recovery)' : ''} at ${this.branch.tli}:${this.end}`,
    );
    if (!this.inRecovery) this.around.becameWritable(this);
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
    this.forget();
    for (const session of this.sessions) {
      session.alive = false;
      session.connection.close(1);
    }
    this.sessions.clear();
    this.locks.clear();
    this.waiters = [];
    for (const sender of this.senders) sender.connection.close(1);
    this.senders.length = 0;
    this.recovery.receiver?.end();
    this.recovery.receiver = null;
    const whenDown = this.#whenDown;
    this.#whenDown = [];
    for (const action of whenDown) this.world.after(1, action);
  }

  /** The machine loses power: nobody is told. */
  loseUpstream(): void {
    for (const session of this.sessions) session.connection.vanish(1);
    for (const sender of this.senders) sender.connection.vanish(1);
    this.recovery.receiver?.connection?.vanish(0);
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
    this.recovery.promoteRequested = false;
    // Walsenders stay until their standbys have the rest, if these answer.
    this.after(this.world.random.between(50, 600), () => {
      this.say('is shut down');
      this.#down(true);
    });
  }

  /** The same by the worker itself: every standby that streams and answers gets the rest, and is waited for. */
  stopForHandover(done: () => void): void {
    if (this.life !== 'up' || this.inRecovery) return this.stop(done);
    this.#whenDown.push(done);
    this.say('shuts down to hand over');
    this.life = 'stopping';
    for (const session of [...this.sessions]) this.endSession(session, 'planned-stop', 'shutdown');
    this.waiters = [];
    this.after(this.world.random.tail(20, 300), () => {
      this.append(checkpointSize);
      this.#waitForSenders();
    });
  }

  #waitForSenders(): void {
    if (this.senders.some((sender) => sender.flushed < this.end))
      return this.after(5, () => this.#waitForSenders());
    this.say('is shut down');
    this.#down(true);
  }

  /** A new connection arrives. Answers with a session or with the reason why not. */
  accept(
    connection: Connection,
    kind: Session['kind'],
    database: string,
    answer: (result: Session | LinkFailure) => void,
  ): void {
    if (this.life === 'down') return answer('refused');
    this.receiveMessage(() => {
      // The client has given up meanwhile: a backend that finds its socket closed ends.
      if (!connection.open[1]) return;
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
    if (session.blocksReplay) this.recovery.scheduleReplay();
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

  alterSystem(change: Partial<Configuration>): void {
    this.configuration = { ...this.configuration, ...change };
    const { primaryConninfo } = change;
    if (primaryConninfo !== undefined)
      this.configuration = { ...this.configuration, primaryConninfo: canonical(primaryConninfo) };
  }

  reload(): void {
    reloadProcesses(this);
  }

  /** Flushed at once. Returns its end. */
  append(size: number): number {
    if (this.branch.tip > this.end) {
      // Others hold more of this history: what is written here is another one with the same number.
      this.branch = this.around.newBranch(this.branch.tli, this.branch, this.end, this.name);
    }
    this.branch.tip += size;
    this.end = this.branch.tip;
    this.recovery.replayed = this.end;
    for (const sender of this.senders) sender.kick();
    return this.end;
  }

  writeRow(row: Registry, basis: Registry | null = null): number {
    const lsn = this.append(180);
    this.branch.rows.push({
      id: this.branch.id * 1_000_000 + this.branch.rows.length,
      branch: this.branch,
      lsn,
      row,
      basis,
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
}
