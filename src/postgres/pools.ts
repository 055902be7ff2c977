/**
 * PAUSE and RESUME on the admin consoles of the PgBouncers, each outcome one event. A console takes single commands of its own
 * only. PAUSE outlives the session that sent it: whatever is not certain counts as paused and is resumed.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { placeOf } from '../core/conninfo.js';
import { maskedMessageOf } from '../core/error-text.js';
import type { Emit, Pools } from '../ports.js';
import { discardClient, openClient, queryWithDeadline } from './connect.js';

const connectBoundMs = 2000;
/** RESUME and what comes before it take no time on a PgBouncer that works. */
const commandBoundMs = 2000;
const retryMs = 250;
/** What does not answer by then is told, and asked on now and then. */
const toldAfterMs = 10_000;
const slowRetryMs = 5000;
const givenUpAfterMs = 600_000;

export interface PoolsOptions {
  readonly nodeName: string;
  readonly consoles: () => readonly string[];
}

export class PgBouncerPools implements Pools {
  readonly #options: PoolsOptions;
  readonly #emit: Emit;
  /** Paused by this worker: resumed also if the settings name them no longer. */
  #paused: readonly string[] = [];
  /** A later PAUSE or RESUME ends the attempts of an earlier one. */
  #turn = 0;
  #last: Promise<void> = Promise.resolve();

  constructor(options: PoolsOptions, emit: Emit) {
    this.#options = options;
    this.#emit = emit;
  }

  pause(deadlineMs: number): void {
    this.#turn += 1;
    this.#last = this.#last.then(() => this.#pause(deadlineMs));
  }

  resume(): void {
    this.#turn += 1;
    const turn = this.#turn;
    this.#last = this.#last.then(() => this.#resume(turn));
  }

  /** None is paused unless all can be. */
  async #pause(deadlineMs: number): Promise<void> {
    const consoles = this.#options.consoles();
    const looks = await Promise.all(consoles.map((conninfo) => examineConsole(conninfo, this.#name)));
    let problems = looks.filter((problem) => problem !== null);
    if (problems.length === 0) {
      this.#paused = consoles;
      const outcomes = await Promise.all(consoles.map((conninfo) => this.#pauseOne(conninfo, deadlineMs)));
      problems = outcomes.flatMap(({ problem }) => problem ?? []);
      const uncertain = consoles.filter((_, place) => outcomes[place]?.mayBePaused === true);
      if (problems.length > 0)
        await Promise.all(uncertain.map((conninfo) => this.#resumeWithin(conninfo, toldAfterMs / 2)));
    }
    this.#emit({ kind: 'pools-paused', ok: problems.length === 0, detail: problems.join('; ') });
  }

  async #pauseOne(
    conninfo: string,
    deadlineMs: number,
  ): Promise<{ readonly problem: string | null; readonly mayBePaused: boolean }> {
    try {
      await this.#command(conninfo, 'PAUSE', deadlineMs);
      return { problem: null, mayBePaused: true };
    } catch (error) {
      const text = maskedMessageOf(error);
      const foreign = /already/i.test(text);
      const why = foreign
        ? 'it is paused already, and not by pgkeeper; RESUME it first'
        : /^timeout/.test(text)
          ? `PAUSE was not done after ${deadlineMs} ms: a client has a transaction open, or it pools sessions; ${text}`
          : text;
      return { problem: `PgBouncer ${placeOf(conninfo)}: ${why}`, mayBePaused: !foreign };
    }
  }

  async #resume(turn: number): Promise<void> {
    const consoles = [...new Set([...this.#options.consoles(), ...this.#paused])];
    const outcomes = await Promise.all(consoles.map((conninfo) => this.#resumeWithin(conninfo, toldAfterMs)));
    const silent = consoles.filter((_, place) => typeof outcomes[place] === 'string');
    this.#paused = silent;
    this.#emit({
      kind: 'pools-resumed',
      ok: silent.length === 0,
      detail: outcomes.filter((outcome) => typeof outcome === 'string').join('; '),
      resumed: outcomes.filter((outcome) => outcome === true).length,
      named: consoles.length,
    });
    for (const conninfo of silent) void this.#askOn(conninfo, turn);
  }

  async #askOn(conninfo: string, turn: number): Promise<void> {
    const until = performance.now() + givenUpAfterMs;
    while (performance.now() < until) {
      await delay(slowRetryMs, undefined, { ref: false });
      if (this.#turn !== turn) return;
      const outcome = await this.#resumeWithin(conninfo, 0);
      if (typeof outcome === 'string') continue;
      this.#paused = this.#paused.filter((other) => other !== conninfo);
      this.#emit({ kind: 'pools-resumed', ok: true, detail: '', resumed: Number(outcome), named: 1 });
      return;
    }
  }

  /** Was it paused? A text: it could not be reached, and why. Tried once at least. */
  async #resumeWithin(conninfo: string, boundMs: number): Promise<boolean | string> {
    const until = performance.now() + boundMs;
    for (;;) {
      try {
        // Where the master is may have been written into its files meanwhile.
        await this.#command(conninfo, 'RELOAD', commandBoundMs).catch(() => undefined);
        await this.#command(conninfo, 'RESUME', commandBoundMs);
        return true;
      } catch (error) {
        const text = consoleText(error);
        if (/not paused/i.test(text)) return false;
        if (performance.now() >= until) return `PgBouncer ${placeOf(conninfo)}: ${text}`;
      }
      await delay(retryMs);
    }
  }

  async #command(conninfo: string, command: string, deadlineMs: number): Promise<void> {
    const client = await openConsole(conninfo, this.#name);
    try {
      await queryWithDeadline(client, command, [], deadlineMs);
    } finally {
      discardClient(client);
    }
  }

  get #name(): string {
    return `pgkeeper ${this.#options.nodeName}`;
  }
}

function openConsole(conninfo: string, applicationName: string): Promise<pg.Client> {
  return openClient(conninfo, { applicationName, connectTimeoutMs: connectBoundMs, adminConsole: true });
}

/** What keeps it from being paused; null = nothing. Changes nothing there. */
export async function examineConsole(conninfo: string, applicationName: string): Promise<string | null> {
  const place = `PgBouncer ${placeOf(conninfo)}`;
  let client: pg.Client | null = null;
  try {
    client = await openConsole(conninfo, applicationName);
    const { rows } = await queryWithDeadline(client, 'SHOW VERSION', [], commandBoundMs);
    if (!JSON.stringify(rows).includes('PgBouncer')) return `${place}: that is not PgBouncer`;
    return (await mayCommand(client)) ? null : `${place}: the user is not among its admin_users`;
  } catch (error) {
    return `${place}: ${consoleText(error)}`;
  } finally {
    if (client !== null) discardClient(client);
  }
}

/** The driver's words for a password that nobody has given help nobody. */
function consoleText(error: unknown): string {
  const text = maskedMessageOf(error);
  return /password must be a (non-empty )?string/.test(text)
    ? 'it asks for a password and none is given: ~/.pgpass of the user the worker runs as, database pgbouncer'
    : text;
}

/** There is no such setting: an admin is told so, whoever may only look is refused before. */
async function mayCommand(client: pg.Client): Promise<boolean> {
  try {
    await queryWithDeadline(client, `SET pgkeeper_probe = '1'`, [], commandBoundMs);
  } catch (error) {
    return !/admin access/i.test(maskedMessageOf(error));
  }
  return true;
}
