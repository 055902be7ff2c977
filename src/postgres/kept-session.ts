/**
 * A session for what is done every few seconds: kept until the next time, since a server that logs its connections would log nothing
 * else otherwise, and each new one is a new process there. One use at a time.
 */
import type pg from 'pg';
import { discardClient, openClient } from './connect.js';

export class KeptSession {
  readonly #applicationName: string;
  #conninfo = '';
  #client: pg.Client | null = null;

  constructor(applicationName: string) {
    this.#applicationName = applicationName;
  }

  /**
   * Opens it where there is none, or another conninfo is given. Throws when it cannot be opened within `deadlineMs`, and what `work`
   * throws: then the session is given up.
   */
  async run<T>(conninfo: string, deadlineMs: number, work: (client: pg.Client) => Promise<T>): Promise<T> {
    if (this.#conninfo !== conninfo) this.end();
    const client = this.#client ?? (await this.#open(conninfo, deadlineMs));
    try {
      return await work(client);
    } catch (error) {
      this.#giveUp(client);
      throw error;
    }
  }

  end(): void {
    if (this.#client !== null) this.#giveUp(this.#client);
  }

  async #open(conninfo: string, deadlineMs: number): Promise<pg.Client> {
    const client = await openClient(conninfo, {
      applicationName: this.#applicationName,
      connectTimeoutMs: deadlineMs,
    });
    // Ended by the server meanwhile: not found out by the next one who uses it.
    client.once('end', () => this.#forget(client));
    this.#conninfo = conninfo;
    this.#client = client;
    return client;
  }

  #giveUp(client: pg.Client): void {
    this.#forget(client);
    discardClient(client);
  }

  #forget(client: pg.Client): void {
    if (this.#client === client) this.#client = null;
  }
}
