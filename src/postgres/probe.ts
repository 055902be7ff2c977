/** Questions asked on fresh connections: what a peer sees, and whether the own server still takes new sessions. */

import type { Emit, Probe } from '../ports.js';
import { discardClient, openClient, queryWithDeadline } from './connect.js';
import { classifyFailure, speaksProtocol } from './failure.js';

export class PostgresProbe implements Probe {
  readonly #ownConninfo: string;
  readonly #emit: Emit;

  constructor(ownConninfo: string, emit: Emit) {
    this.#ownConninfo = ownConninfo;
    this.#emit = emit;
  }

  indirectPoll(via: string, viaConninfo: string, target: string, round: number, deadlineMs: number): void {
    ask(viaConninfo, target, deadlineMs).then(
      (sees) => this.#emit({ kind: 'indirect-answer', via, round, sees }),
      () => this.#emit({ kind: 'indirect-answer', via, round, sees: null }),
    );
  }

  /** Any answer that speaks the protocol is a living server; "too many clients" too. */
  probeOwn(deadlineMs: number): void {
    openClient(this.#ownConninfo, { applicationName: 'pgkeeper probe', connectTimeoutMs: deadlineMs }).then(
      (client) => {
        client.end().catch(() => undefined);
        this.#emit({ kind: 'own-probe', alive: true });
      },
      (error: unknown) =>
        this.#emit({ kind: 'own-probe', alive: speaksProtocol(classifyFailure(error).kind) }),
    );
  }
}

async function ask(viaConninfo: string, target: string, deadlineMs: number): Promise<boolean> {
  const until = performance.now() + deadlineMs;
  const client = await openClient(viaConninfo, {
    applicationName: 'pgkeeper indirect polling',
    connectTimeoutMs: deadlineMs,
  });
  try {
    const leftMs = Math.max(1, Math.round(until - performance.now()));
    const result = await queryWithDeadline(
      client,
      'select pgkeeper.indirect_polling($1, $2) as sees',
      [target, leftMs],
      leftMs,
    );
    return (result.rows[0] as { sees?: unknown } | undefined)?.sees === true;
  } finally {
    discardClient(client);
  }
}
