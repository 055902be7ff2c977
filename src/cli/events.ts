/**
 * `pgkeeper events`: what happened, when, to which node and why. With --follow until interrupted: on the master NOTIFY makes
 * the next read sooner, on a standby (where nobody can listen) it is read at intervals.
 */
import type pg from 'pg';
import { type ConnectionOptions, conninfoOf } from './connection-options.js';
import { CommandFailure, type ExitCode, exitCodes } from './exit-codes.js';
import { print, printJson, say } from './output.js';
import { connect, withSession } from './session.js';
import { sqlFailure } from './sql-failure.js';

export interface EventsOptions extends ConnectionOptions {
  readonly json?: boolean;
  readonly follow?: boolean;
  readonly limit: string;
  readonly node?: string;
}

interface EventRow {
  readonly id: string;
  readonly at: Date;
  readonly epoch: string;
  readonly node: string;
  readonly code: string;
  readonly sentence: string;
  readonly details: Readonly<Record<string, unknown>>;
}

export async function runEvents(options: EventsOptions): Promise<ExitCode> {
  if (!/^\d{1,9}$/.test(options.limit))
    throw new CommandFailure(exitCodes.usage, `--limit ${options.limit}: not a positive number`);
  const conninfo = conninfoOf(options);
  if (options.follow === true) return follow(conninfo, options);
  const rows = await withSession(conninfo, async ({ client }) => {
    await refuseStranger(client, options.node);
    return lastEvents(client, options);
  });
  if (options.json === true) printJson(rows.map(jsonOf));
  else {
    for (const row of rows) print(lineOf(row));
    if (rows.length === 0) say('no events yet');
  }
  return exitCodes.done;
}

/** A node that was removed has events still; a name that nothing knows is a slip. */
async function refuseStranger(client: pg.Client, node: string | undefined): Promise<void> {
  if (node === undefined) return;
  try {
    const told = await client.query('select from pgkeeper.events where node = $1 limit 1', [node]);
    if (told.rows.length > 0) return;
    // The view, since who may read events may not read the table of the witnesses.
    const { rows } = await client.query<{ name: string }>('select name from pgkeeper.status');
    const names = rows.map(({ name }) => name);
    if (names.includes(node)) return;
    const there = names.length === 0 ? '' : `; there are ${names.join(', ')}`;
    throw new CommandFailure(
      exitCodes.usage,
      `no node is registered as ${node}, and no event is of that name${there}`,
    );
  } catch (error) {
    throw sqlFailure(error);
  }
}

const columns = 'select id::text, at, epoch::text, node, code, sentence, details from pgkeeper.events';

/** The newest ones, oldest first. */
async function lastEvents(client: pg.Client, options: EventsOptions): Promise<readonly EventRow[]> {
  try {
    const { rows } = await client.query<EventRow>(
      `select * from (${columns} where $2::text is null or node = $2 order by pgkeeper.events.id desc limit $1) e order by e.id::bigint`,
      [options.limit, options.node ?? null],
    );
    return rows;
  } catch (error) {
    throw sqlFailure(error);
  }
}

function jsonOf(row: EventRow): object {
  return { ...row, id: Number(row.id), epoch: Number(row.epoch), at: row.at.toISOString() };
}

function lineOf(row: EventRow): string {
  return `${row.at.toISOString()}  epoch ${row.epoch}  ${row.node}  ${row.code}: ${row.sentence}`;
}

/** Numbers are given when a row is written, not when it is committed: rows may appear a little behind the last one. */
const lookBack = 200;
const pollMs = 1000;

class Follower {
  readonly #conninfo: string;
  readonly #options: EventsOptions;
  readonly #seen = new Set<string>();
  #newest = 0n;
  #primed = false;
  #stopped = false;
  #wake: () => void = () => undefined;

  constructor(conninfo: string, options: EventsOptions) {
    this.#conninfo = conninfo;
    this.#options = options;
  }

  stop(): void {
    this.#stopped = true;
    this.#wake();
  }

  /** The first failure to connect ends the command; a lost connection later is taken up again. */
  async run(): Promise<void> {
    while (!this.#stopped) {
      try {
        await this.#session();
      } catch (error) {
        if (!this.#primed) throw sqlFailure(error);
        say(`connection lost (${sqlFailure(error).message.split('\n')[0]}), trying again`);
        await this.#pause();
      }
    }
  }

  async #session(): Promise<void> {
    const { client } = await connect(this.#conninfo);
    try {
      client.on('notification', () => this.#wake());
      const { rows } = await client.query<{ standby: boolean }>('select pg_is_in_recovery() as standby');
      if (rows[0]?.standby === false) await client.query('listen pgkeeper');
      while (!this.#stopped) {
        await this.#read(client);
        await this.#pause();
      }
    } finally {
      client.end().catch(() => undefined);
    }
  }

  async #read(client: pg.Client): Promise<void> {
    if (!this.#primed) {
      await refuseStranger(client, this.#options.node);
      for (const row of await lastEvents(client, this.#options)) this.#show(row);
      const { rows } = await client.query<EventRow>(
        `${columns} order by pgkeeper.events.id desc limit ${lookBack}`,
      );
      for (const row of rows) this.#mark(row);
      this.#primed = true;
      return;
    }
    const from = this.#newest - BigInt(lookBack);
    const { rows } = await client.query<EventRow>(
      `${columns} where id > $1 and ($2::text is null or node = $2) order by pgkeeper.events.id`,
      [String(from), this.#options.node ?? null],
    );
    for (const row of rows) if (!this.#seen.has(row.id)) this.#show(row);
    for (const id of this.#seen) if (BigInt(id) <= from - BigInt(lookBack)) this.#seen.delete(id);
  }

  #mark(row: EventRow): void {
    this.#seen.add(row.id);
    const id = BigInt(row.id);
    if (id > this.#newest) this.#newest = id;
  }

  #show(row: EventRow): void {
    this.#mark(row);
    print(this.#options.json === true ? JSON.stringify(jsonOf(row)) : lineOf(row));
  }

  #pause(): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, pollMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

async function follow(conninfo: string, options: EventsOptions): Promise<ExitCode> {
  const follower = new Follower(conninfo, options);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => follower.stop());
  await follower.run();
  return exitCodes.done;
}
