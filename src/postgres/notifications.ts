/**
 * LISTEN on the present master through pg-listen. A notification is a hint that makes the next ordinary read happen
 * sooner, never the truth; so a subscriber is cheap to throw away: one per master, dropped on any error, made anew after
 * a pause. (pg-listen alone would give up after 3 s, never notice a frozen server, and stay deaf after it reconnected to
 * a standby.)
 */
import pgListen from 'pg-listen';
import type { Emit, Notifications } from '../ports.js';
import { clientConfigOf } from './connect.js';

const channel = 'pgkeeper';
/** Every third try of a dead master costs nothing; a master that came back is listened to within this time. */
const retryPauseMs = 1000;

type Subscriber = ReturnType<typeof pgListen.default>;

export class PostgresNotifications implements Notifications {
  readonly #ownConninfo: string;
  readonly #deadlineMs: () => number;
  readonly #emit: Emit;
  #target: string | null = null;
  #subscriber: Subscriber | null = null;
  #timer: NodeJS.Timeout | null = null;
  #generation = 0;

  constructor(ownConninfo: string, deadlineMs: () => number, emit: Emit) {
    this.#ownConninfo = ownConninfo;
    this.#deadlineMs = deadlineMs;
    this.#emit = emit;
  }

  listen(voter: string | null, conninfo: string | null): void {
    this.#target = voter === null ? null : (conninfo ?? this.#ownConninfo);
    this.#restart(0);
  }

  #restart(pauseMs: number): void {
    this.#drop();
    if (this.#target === null) return;
    const generation = ++this.#generation;
    this.#timer = setTimeout(() => {
      this.#subscribe(generation).catch(() => {
        if (generation === this.#generation) this.#restart(retryPauseMs);
      });
    }, pauseMs);
  }

  async #subscribe(generation: number): Promise<void> {
    if (this.#target === null) return;
    const deadlineMs = this.#deadlineMs();
    const config = await clientConfigOf(this.#target, {
      applicationName: 'pgkeeper listen',
      connectTimeoutMs: deadlineMs,
    });
    if (generation !== this.#generation) return;
    const subscriber = pgListen.default(
      { ...config, query_timeout: deadlineMs },
      {
        parse: (payload: string) => payload,
        retryTimeout: 100,
        retryInterval: 50,
        paranoidChecking: Math.max(1000, deadlineMs * 2),
      },
    );
    this.#subscriber = subscriber;
    subscriber.events.on('error', () => {
      if (generation === this.#generation) this.#restart(retryPauseMs);
    });
    subscriber.events.on('connected', () => this.#emit({ kind: 'hint' }));
    subscriber.notifications.on(channel, () => this.#emit({ kind: 'hint' }));
    await subscriber.connect();
    if (generation !== this.#generation) return;
    await subscriber.listenTo(channel);
    this.#emit({ kind: 'hint' });
  }

  /** close() may hang on a frozen server, so nobody waits for it; a late rejection is nobody's news. */
  #drop(): void {
    this.#generation += 1;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const subscriber = this.#subscriber;
    this.#subscriber = null;
    if (subscriber === null) return;
    subscriber.events.on('error', () => undefined);
    subscriber.close().catch(() => undefined);
  }

  async end(): Promise<void> {
    this.#target = null;
    this.#drop();
  }
}
