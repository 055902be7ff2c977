/** One worker's kept session to one real server, command by command: what it answers, or how the session ended. */
import assert from 'node:assert/strict';
import type { Command } from '../../src/core/effects.js';
import type { Answer, KeeperEvent } from '../../src/core/events.js';
import { PostgresVoterSessions } from '../../src/postgres/voter-sessions.js';

const deadlineMs = 20_000;

export class VoteSession {
  readonly #sessions: PostgresVoterSessions;
  readonly #events: KeeperEvent[] = [];
  #waiting: (() => void) | null = null;
  #id = 0;

  constructor(nodeName: string, leaseTtlMs = 10_000) {
    const options = {
      nodeName,
      ownConninfo: '',
      leaseTtlMs: () => leaseTtlMs,
      endsWithinRecord: () => false,
      connectTimeoutMs: () => deadlineMs,
    };
    this.#sessions = new PostgresVoterSessions(options, (event) => {
      this.#events.push(event);
      this.#waiting?.();
    });
  }

  async #next(): Promise<KeeperEvent> {
    for (;;) {
      const event = this.#events.shift();
      if (event !== undefined) return event;
      await new Promise<void>((resolve) => {
        this.#waiting = resolve;
      });
    }
  }

  /** How the attempt ended. */
  async open(conninfo: string, database = 'postgres'): Promise<KeeperEvent> {
    this.#sessions.open({ voter: 'n', conninfo, database, attempt: 1, witness: null });
    return this.#next();
  }

  async opened(conninfo: string, database = 'postgres'): Promise<this> {
    const event = await this.open(conninfo, database);
    assert.equal(event.kind, 'session-opened', event.kind === 'session-lost' ? event.detail : '');
    return this;
  }

  async ask(command: Command): Promise<KeeperEvent> {
    this.#id += 1;
    this.#sessions.command('n', this.#id, command, deadlineMs);
    return this.#next();
  }

  async answer(command: Command): Promise<Answer> {
    const event = await this.ask(command);
    assert.ok(event.kind === 'answer', event.kind === 'session-lost' ? event.detail : event.kind);
    return event.answer;
  }

  async isGranted(): Promise<boolean> {
    const answer = await this.answer({ kind: 'try-vote', knownMs: 0 });
    assert.equal(answer.kind, 'vote');
    return answer.kind === 'vote' && answer.granted;
  }

  end(): Promise<void> {
    return this.#sessions.end();
  }
}
