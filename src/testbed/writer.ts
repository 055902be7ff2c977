/**
 * A client that writes all the time and remembers what was acknowledged by whom and when. Following: to whichever
 * server takes writes, as a multi-host conninfo with target_session_attrs=read-write would find it. Pinned: to one server
 * only, so that an acknowledgement of a deposed master would show.
 */
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { discardClient } from '../postgres/connect.js';
import type { TestServer } from './server.js';

export interface Acknowledged {
  readonly id: number;
  readonly server: string;
  /** Start of the server that acknowledged: one that was deposed is master again only after a restart. */
  readonly serverStart: string;
  /** When the write was sent and its acknowledgement seen, performance.now(). */
  readonly sentAt: number;
  readonly at: number;
}

export type WriteTarget = Pick<TestServer, 'name' | 'host' | 'port'>;

export interface WriterOptions {
  readonly servers: readonly WriteTarget[];
  /** Separates the ids of several writers. */
  readonly number: number;
  /** Pause between writes, ms. */
  readonly pauseMs: number;
  /** Pause between two questions whether a server takes writes, ms. */
  readonly pollMs?: number;
  /** A server that acknowledges nothing for so long is given up, as tcp_user_timeout or a statement's timeout would. */
  readonly patienceMs?: number;
}

export const writesTable = 'pgkeeper_writes';
const idsPerWriter = 100_000_000;
const connectBoundMs = 1000;
const defaults = { pollMs: 4, patienceMs: 1000 };

export async function createWritesTable(server: TestServer): Promise<void> {
  await server.query(
    `create table if not exists ${writesTable} (id bigint primary key, written_at timestamptz not null default clock_timestamp())`,
  );
}

interface Session {
  readonly server: WriteTarget;
  readonly serverStart: string;
  readonly client: pg.Client;
}

export class Writer {
  readonly acknowledged: Acknowledged[] = [];
  readonly #options: Required<WriterOptions>;
  readonly #servers: WriteTarget[];
  #next: number;
  #stopped = false;
  #sessions = new Set<pg.Client>();
  #done: Promise<void> | null = null;

  constructor(options: WriterOptions) {
    this.#options = { ...defaults, ...options };
    this.#servers = [...options.servers];
    this.#next = options.number * idsPerWriter;
  }

  start(): void {
    this.#done ??= this.#run();
  }

  /** From the next search for the master on it is asked, too. */
  add(server: WriteTarget): void {
    this.#servers.push(server);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const client of this.#sessions) discardClient(client);
    await this.#done;
  }

  /** First write sent and acknowledged after `since`; null = none yet. */
  firstSince(since: number, except: string | null = null): Acknowledged | null {
    return this.acknowledged.find(({ at, server }) => at > since && server !== except) ?? null;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const session = await this.#findMaster();
      if (session === null) return;
      try {
        await this.#write(session);
      } catch {
        // Lost in doubt: it may or may not be there. Only acknowledged ones are counted.
      } finally {
        this.#close(session.client);
      }
    }
  }

  async #write({ server, serverStart, client }: Session): Promise<void> {
    while (!this.#stopped) {
      const id = this.#next++;
      const sentAt = performance.now();
      await withBound(
        client.query(`insert into ${writesTable} (id) values ($1)`, [id]),
        this.#options.patienceMs,
      );
      this.acknowledged.push({ id, server: server.name, serverStart, sentAt, at: performance.now() });
      await delay(this.#options.pauseMs);
    }
  }

  /** One loop a server, all at once; the first that finds itself writable wins. */
  #findMaster(): Promise<Session | null> {
    const servers = [...this.#servers];
    return new Promise((resolve) => {
      let left = servers.length;
      let found = false;
      const isOver = () => found || this.#stopped;
      for (const server of servers) {
        void this.#watch(server, isOver).then((session) => {
          left -= 1;
          if (session !== null && !found) {
            found = true;
            resolve(session);
          } else if (session !== null) this.#close(session.client);
          if (left === 0 && !found) resolve(null);
        });
      }
    });
  }

  async #watch(server: WriteTarget, isOver: () => boolean): Promise<Session | null> {
    while (!isOver()) {
      const client = this.#newClient(server);
      try {
        await client.connect();
        while (!isOver()) {
          const { rows } = await withBound(
            client.query<{ writable: boolean; start: string }>(
              'select not pg_is_in_recovery() as writable, pg_postmaster_start_time()::text as start',
            ),
            connectBoundMs,
          );
          if (rows[0]?.writable === true) return { server, serverStart: rows[0].start, client };
          await delay(this.#options.pollMs);
        }
      } catch {
        // Refused, cut or silent: try again.
      }
      this.#close(client);
      if (!isOver()) await delay(this.#options.pollMs);
    }
    return null;
  }

  #newClient(server: WriteTarget): pg.Client {
    const client = new pg.Client({
      host: server.host,
      port: server.port,
      user: 'postgres',
      database: 'postgres',
      connectionTimeoutMillis: connectBoundMs,
      application_name: 'writer',
    });
    client.on('error', () => undefined);
    this.#sessions.add(client);
    return client;
  }

  #close(client: pg.Client): void {
    this.#sessions.delete(client);
    discardClient(client);
  }
}

async function withBound<T>(promise: Promise<T>, boundMs: number): Promise<T> {
  const timer = new AbortController();
  promise.catch(() => undefined);
  try {
    const late = delay(boundMs, undefined, { signal: timer.signal }).then(() => {
      throw new Error(`no answer in ${boundMs} ms`);
    });
    late.catch(() => undefined);
    return await Promise.race([promise, late]);
  } finally {
    timer.abort();
  }
}

export interface WriteAudit {
  readonly acknowledged: number;
  /** Acknowledged, and not in the table of the server asked. */
  readonly lost: readonly number[];
  /** For how long two servers acknowledged at the same time, ms; 0 = never. */
  readonly overlapMs: number;
}

/** Counts every acknowledged row on `server`, and compares the times of the servers' acknowledgements. */
export async function auditWrites(writers: readonly Writer[], server: TestServer): Promise<WriteAudit> {
  const all = writers.flatMap((writer) => writer.acknowledged);
  return { acknowledged: all.length, lost: await auditRows(all, server), overlapMs: overlapOf(all) };
}

/** Those of `acknowledged` that are not on `server`. */
export async function auditRows(
  acknowledged: readonly Acknowledged[],
  server: TestServer,
): Promise<readonly number[]> {
  const rows = await server.query<{ id: string }>(`select id from ${writesTable}`);
  const present = new Set(rows.map(({ id }) => Number(id)));
  return acknowledged.map(({ id }) => id).filter((id) => !present.has(id));
}

/**
 * For how long a deposed server went on writing: from the first acknowledgement of the server that came after it to its own
 * last write. A server that was restarted counts as another one. A write is known to lie somewhere between its sending and
 * its acknowledgement, and counts with the latter, unless it is none of `missing`, the rows that the last master lacks: what
 * that one has was written before it was promoted, however late a server that stood still told its client so.
 */
export function overlapOf(all: readonly Acknowledged[], missing: ReadonlySet<number> | null = null): number {
  const reigns = new Map<string, { readonly server: string; first: number; last: number }>();
  // In the order of sending: a server that stood still may tell of its last write when the next one writes already.
  for (const { id, server, serverStart, sentAt, at } of [...all].sort((a, b) => a.sentAt - b.sentAt)) {
    const written = missing === null || missing.has(id) ? at : sentAt;
    const reign = reigns.get(`${server} ${serverStart}`);
    if (reign === undefined) reigns.set(`${server} ${serverStart}`, { server, first: at, last: written });
    else {
      reign.first = Math.min(reign.first, at);
      reign.last = Math.max(reign.last, written);
    }
  }
  const inOrder = [...reigns.values()];
  const overlaps = inOrder.flatMap((next, i) =>
    inOrder
      .slice(0, i)
      .filter(({ server }) => server !== next.server)
      .map(({ last }) => last - next.first),
  );
  return Math.max(0, ...overlaps);
}
