/** Streaming: a WAL receiver on a standby, a walsender for it on the server it follows. Content is judged in wal.ts. */
import {
  type Configuration,
  namesOf,
  priorityOf,
  type SyncSetting,
  syncSetting,
  targetOf,
} from './configuration.js';
import { Connection } from './network.js';
import type { Server } from './server.js';
import { releaseBy } from './sync-replication.js';
import { type Branch, endOfTimeline, holds } from './wal.js';

const timeoutMs = 60_000;

export class WalReceiver {
  readonly standby: Server;
  readonly conninfo: string;
  readonly host: string;
  connection: Connection | null = null;
  sender: WalSender | null = null;
  lastMessageAt = 0;
  #ended = false;
  #watching = false;

  constructor(standby: Server, conninfo: string) {
    this.standby = standby;
    this.conninfo = conninfo;
    this.host = targetOf(conninfo).host;
  }

  connect(): void {
    const { around, machine } = this.standby;
    const upstream = around.serverNamed(this.host);
    if (upstream === undefined) {
      this.standby.after(20, () => this.#gone());
      return;
    }
    const connection = new Connection(around.network, machine, upstream.machine);
    this.connection = connection;
    connection.onEnd[0] = () => this.standby.receiveMessage(() => this.#gone());
    connection.send(0, () => {
      if (upstream.life === 'down') return connection.close(1);
      upstream.receiveMessage(() => this.#ask(upstream, connection));
    });
    // A connection attempt that meets silence ends after the kernel's patience.
    this.standby.after(30_000, () => {
      if (this.sender === null) this.#gone();
    });
  }

  /** On the upstream: IDENTIFY_SYSTEM and START_REPLICATION, judged by timeline numbers as PostgreSQL does. */
  #ask(upstream: Server, connection: Connection): void {
    const { standby } = this;
    // An attempt that a cut delayed, of a process that is gone: what its server has become since then is not asked about.
    if (this.#ended) return connection.close(1);
    if (upstream.life !== 'up' || !connection.open[1] || upstream.kind !== 'node') return connection.close(1);
    const refusal = refuseStart(standby, upstream);
    if (refusal !== null) {
      const text = `cannot stream from ${upstream.name}: ${refusal}`;
      if (standby.lastRefusal !== text) standby.say(text);
      standby.lastRefusal = text;
      return connection.close(1);
    }
    const sender = new WalSender(upstream, this, connection, targetOf(this.conninfo).applicationName);
    upstream.senders.push(sender);
    connection.onEnd[1] = () => upstream.receiveMessage(() => sender.end());
    connection.send(1, () =>
      standby.receiveMessage(() => {
        if (this.#ended) return;
        this.sender = sender;
        this.lastMessageAt = standby.around.world.now;
        standby.recovery.receiverRan = true;
        standby.say(`streams from ${upstream.name} at ${standby.branch.tli}:${standby.end}`);
        this.#watch();
        sender.confirm(standby.end);
      }),
    );
    sender.kick();
  }

  /** WAL or a keepalive arrived. */
  message(branch: Branch, lsn: number): void {
    if (this.standby.frozen) this.standby.receiveMessage(() => this.#take(branch, lsn));
    else this.#take(branch, lsn);
  }

  #take(branch: Branch, lsn: number): void {
    if (this.#ended) return;
    const { standby } = this;
    this.lastMessageAt = standby.around.world.now;
    if (lsn > standby.end) {
      if (!holds(branch, lsn, standby.branch, standby.end)) {
        // The upstream went on with another history than what is here.
        standby.say('the stream went on with another history; it ends');
        return this.#gone();
      }
      standby.recovery.received(branch, lsn);
    }
    this.sender?.confirm(standby.end);
  }

  /** Asks for a sign of life after half of wal_receiver_timeout, ends after all of it. */
  #watch(): void {
    if (this.#watching) return;
    this.#watching = true;
    this.standby.at(this.lastMessageAt + timeoutMs / 2, () => {
      this.#watching = false;
      if (this.#ended) return;
      const quietMs = this.standby.around.world.now - this.lastMessageAt;
      if (quietMs >= timeoutMs - 1) return this.#gone();
      if (quietMs >= timeoutMs / 2 - 1) this.#ping(quietMs);
      else this.#watch();
    });
  }

  #ping(quietMs: number): void {
    const { sender } = this;
    this.connection?.send(0, () => sender?.server.receiveMessage(() => sender.ping()));
    this.standby.after(timeoutMs - quietMs, () => {
      if (this.#ended) return;
      if (this.standby.around.world.now - this.lastMessageAt >= timeoutMs - 1) this.#gone();
      else this.#watch();
    });
  }

  #gone(): void {
    if (this.#ended) return;
    this.end();
    this.standby.recovery.receiverGone(this);
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.connection?.close(0);
  }
}

/** Why PostgreSQL would not stream; null = it would. Records a silent merge where numbers agree and contents do not. */
function refuseStart(standby: Server, upstream: Server): string | null {
  const theirs = upstream.branch.tli;
  const ours = standby.branch.tli;
  if (theirs < ours) return `highest timeline ${theirs} of the primary is behind recovery timeline ${ours}`;
  if (theirs > ours) {
    const end = endOfTimeline(upstream.branch, upstream.end, ours);
    if (end === null) return `timeline ${ours} is not in this server's history`;
    if (end < standby.end)
      return `timeline ${ours} ended at ${end}, before current recovery point ${standby.end}`;
  }
  const physical =
    holds(upstream.branch, upstream.end, standby.branch, standby.end) ||
    holds(standby.branch, standby.end, upstream.branch, upstream.end);
  if (!physical) {
    standby.around.watcher.merged(
      standby,
      `${standby.name} (${standby.branch}, ${standby.end}) streams from ${upstream.name} (${upstream.branch}, ${upstream.end})`,
    );
    return 'record with incorrect prev-link';
  }
  return null;
}

export class WalSender {
  readonly server: Server;
  readonly receiver: WalReceiver;
  readonly connection: Connection;
  readonly name: string;
  state: 'catchup' | 'streaming' = 'catchup';
  flushed = 0;
  priority = 0;
  setting: SyncSetting;
  /** A fault: this process is slow to take in a reload. */
  slowReload = false;
  #sent = 0;
  #cascading: boolean;
  #configuration: Configuration;
  #lastReplyAt: number;

  constructor(server: Server, receiver: WalReceiver, connection: Connection, name: string) {
    this.server = server;
    this.receiver = receiver;
    this.connection = connection;
    this.name = name;
    this.#cascading = server.inRecovery;
    this.#configuration = server.postmasterConfiguration;
    this.setting = syncSetting(namesOf(this.#configuration));
    this.#lastReplyAt = server.around.world.now;
    this.slowReload = server.around.world.random.chance(0.02);
    this.#initialise();
    this.#watch();
  }

  #initialise(): void {
    this.setting = syncSetting(namesOf(this.#configuration));
    this.priority = this.#cascading ? 0 : priorityOf(this.setting, this.name);
  }

  get #live(): boolean {
    return this.server.senders.includes(this);
  }

  reload(): void {
    if (!this.#live) return;
    this.#configuration = this.server.configuration;
    this.#initialise();
    releaseBy(this.server, this);
  }

  /** The server left recovery: the stream goes on, on the new timeline, no longer as a cascade. */
  becamePrimary(): void {
    this.server.after(this.server.around.world.random.tail(10, 100), () => {
      if (!this.#live) return;
      this.#cascading = false;
      this.#initialise();
      this.kick();
    });
  }

  kick(): void {
    if (this.#cascading && !this.server.inRecovery) return;
    const { end, branch } = this.server;
    if (this.#sent >= end) return;
    this.#sent = end;
    this.connection.send(1, () => this.receiver.message(branch, end));
  }

  ping(): void {
    if (!this.#live) return;
    this.#lastReplyAt = this.server.around.world.now;
    const { end, branch } = this.server;
    this.connection.send(1, () => this.receiver.message(branch, Math.min(end, this.#sent)));
  }

  /** On the standby: this much is flushed there. Told to the walsender over the network. */
  confirm(lsn: number): void {
    this.connection.send(0, () => {
      if (this.server.frozen) this.server.receiveMessage(() => this.#confirmed(lsn));
      else this.#confirmed(lsn);
    });
  }

  #confirmed(lsn: number): void {
    if (!this.#live) return;
    this.#lastReplyAt = this.server.around.world.now;
    if (lsn > this.flushed) this.flushed = lsn;
    if (this.state === 'catchup' && lsn >= Math.min(this.#sent, this.server.end)) this.state = 'streaming';
    releaseBy(this.server, this);
  }

  #watch(): void {
    this.server.after(timeoutMs, () => {
      if (!this.#live) return;
      if (this.server.around.world.now - this.#lastReplyAt >= timeoutMs + 5000) this.end();
      else this.#watch();
    });
  }

  end(): void {
    const at = this.server.senders.indexOf(this);
    if (at < 0) return;
    this.server.senders.splice(at, 1);
    this.connection.close(1);
  }
}
