/**
 * The startup process of a modelled standby: replay, the WAL receiver and when it may be started or ended, promotion. It
 * acts on a changed configuration only when it needs WAL that is not there.
 */
import type { Configuration } from './configuration.js';
import { WalReceiver } from './replication.js';
import type { Server } from './server.js';
import { type Branch, branchAt } from './wal.js';

export class Recovery {
  readonly server: Server;
  replayed = 0;
  /** Its own WAL is read to the end. */
  atEnd = false;
  receiverRan = false;
  receiver: WalReceiver | null = null;
  /** pg_wal_replay_pause(). */
  paused = false;
  promoteRequested = false;
  /** Its own copy. */
  configuration: Configuration;
  #replayScheduled = false;
  #retryAt = 0;
  #retryScheduled = false;
  #promoting = false;

  constructor(server: Server) {
    this.server = server;
    this.configuration = server.configuration;
  }

  /** Every start begins anew. */
  reset(): void {
    this.configuration = this.server.configuration;
    this.promoteRequested = false;
    this.paused = false;
    this.atEnd = false;
    this.receiverRan = false;
    this.#promoting = false;
    this.#replayScheduled = false;
    this.#retryAt = 0;
    this.#retryScheduled = false;
  }

  reload(): void {
    const changed = this.configuration.primaryConninfo !== this.server.configuration.primaryConninfo;
    this.configuration = this.server.configuration;
    if (changed) this.#retryAt = 0;
    this.startupStep();
  }

  /** The WAL receiver has flushed up to `lsn` of that history. */
  received(branch: Branch, lsn: number): void {
    const { server } = this;
    if (lsn <= server.end) return;
    const before = branchAt(server.branch, server.end);
    server.branch = branchAt(branch, lsn);
    const endBefore = server.end;
    server.end = lsn;
    if (server.branch !== before || (server.branch.rows.at(-1)?.lsn ?? 0) > endBefore)
      server.around.watcher.flushed(server);
    for (const sender of server.senders) sender.kick();
    this.scheduleReplay();
  }

  get #replayBlocked(): boolean {
    if (this.paused && !this.promoteRequested) return true;
    for (const session of this.server.sessions) if (session.blocksReplay) return true;
    return false;
  }

  scheduleReplay(): void {
    const { server } = this;
    if (this.#replayScheduled || !this.atEnd || this.replayed >= server.end || server.life !== 'up') return;
    if (this.#replayBlocked) return;
    this.#replayScheduled = true;
    const target = server.end;
    server.after(server.around.world.random.tail(1, 40) + server.replayDelayMs, () => {
      this.#replayScheduled = false;
      if (this.#replayBlocked) return;
      this.replayed = Math.max(this.replayed, Math.min(target, server.end));
      if (this.replayed < server.end) this.scheduleReplay();
      else this.startupStep();
    });
  }

  // ---- the startup process ----

  /** What it does whenever it needs WAL that is not there. */
  startupStep(): void {
    const { server } = this;
    if (!server.inRecovery || server.life === 'down' || server.life === 'stopping' || !this.atEnd) return;
    if (this.replayed < server.end) return this.scheduleReplay();
    if (this.promoteRequested) return this.#finishRecovery();
    const { primaryConninfo } = this.configuration;
    if (this.receiver !== null && this.receiver.conninfo !== primaryConninfo) this.endReceiver('re-pointed');
    if (this.receiver === null && primaryConninfo !== '' && server.kind === 'node') this.#startReceiver();
  }

  #startReceiver(): void {
    const { server } = this;
    const { world } = server.around;
    if (world.now < this.#retryAt) {
      if (this.#retryScheduled) return;
      this.#retryScheduled = true;
      server.at(this.#retryAt, () => {
        this.#retryScheduled = false;
        this.startupStep();
      });
      return;
    }
    this.receiver = new WalReceiver(server, this.configuration.primaryConninfo);
    this.receiver.connect();
  }

  /** The stream ended: the next try after wal_retrieve_retry_interval. */
  receiverGone(receiver: WalReceiver): void {
    if (this.receiver !== receiver) return;
    this.receiver = null;
    this.#retryAt = this.server.around.world.now + (this.configuration.shortRetry ? 40 : 5000);
    this.startupStep();
  }

  endReceiver(why: string): void {
    const { receiver } = this;
    if (receiver === null) return;
    this.server.say(`ends its WAL receiver: ${why}`);
    receiver.end();
    this.receiver = null;
  }

  /** pg_promote(false). */
  requestPromotion(): void {
    const { server } = this;
    this.promoteRequested = true;
    const { random } = server.around.world;
    server.after(this.configuration.shortRetry ? random.tail(20, 300) : random.between(0, 5000), () => {
      this.scheduleReplay();
      this.startupStep();
    });
  }

  #finishRecovery(): void {
    const { server } = this;
    if (this.#promoting) return;
    this.#promoting = true;
    this.endReceiver('promoted');
    server.after(server.around.world.random.tail(20, 200), () => {
      const parent = branchAt(server.branch, server.end);
      server.branch = server.around.newBranch(parent.tli + 1, parent, server.end, server.name);
      server.inRecovery = false;
      server.standbySignal = false;
      this.promoteRequested = false;
      this.#promoting = false;
      server.append(114);
      server.say(`is out of recovery: tli ${server.branch.tli} from ${server.branch.forkLsn}`);
      for (const sender of server.senders) sender.becamePrimary();
      server.around.watcher.promoted(server);
      server.around.becameWritable(server);
    });
  }
}
