/** The kept sessions of one worker over modelled connections: what src/postgres/voter-sessions.ts is in production. */
import type { Command } from '../../src/core/effects.js';
import type { LinkFailure } from '../../src/core/types.js';
import { pollDeadlineMs } from '../../src/core/types.js';
import type { Emit, SessionRequest, VoterSessions } from '../../src/ports.js';
import { runCommand, StatementFailure } from './backend.js';
import { targetOf } from './configuration.js';
import type { Host } from './host.js';
import { Connection } from './network.js';
import type { Server } from './server.js';
import type { Session } from './session.js';

interface Kept {
  readonly voter: string;
  readonly attempt: number;
  readonly token: string;
  readonly connection: Connection;
  readonly server: Server;
  session: Session | null;
  ended: boolean;
  /** What the server said before it ended the session. */
  fatal: LinkFailure | null;
}

const byConnection = new WeakMap<Connection, Kept>();

/** A FATAL message arrived at the client's end. */
export function heardFatal(connection: Connection, failure: LinkFailure): void {
  const kept = byConnection.get(connection);
  if (kept !== undefined) kept.fatal = failure;
}

export class SessionsModel implements VoterSessions {
  readonly #host: Host;
  readonly #emit: Emit;
  readonly #kept = new Map<string, Kept>();

  constructor(host: Host, emit: Emit) {
    this.#host = host;
    this.#emit = emit;
  }

  setState(): void {}

  open({ voter, conninfo, database, attempt, witness }: SessionRequest): void {
    this.close(voter);
    const host = this.#host;
    const { around } = host.server;
    const server = conninfo === null ? host.server : around.serverNamed(targetOf(conninfo).host);
    if (server === undefined) {
      host.world.after(1, () => this.#emit(lostEvent(voter, attempt, 'unreachable', 'no such host')));
      return;
    }
    const connection = new Connection(around.network, host, server.machine);
    const kept: Kept = {
      voter,
      attempt,
      token: witness?.token ?? '',
      connection,
      server,
      session: null,
      ended: false,
      fatal: null,
    };
    this.#kept.set(voter, kept);
    byConnection.set(connection, kept);
    connection.onEnd[0] = () =>
      host.run(() => this.#lose(kept, kept.fatal ?? cutKind(kept), 'the session ended'));
    const timeoutMs = pollDeadlineMs(host.settings);
    host.world.after(timeoutMs / host.clock.rate, () =>
      host.run(() => {
        if (kept.session === null) this.#lose(kept, 'timeout', `no connection in ${timeoutMs} ms`);
      }),
    );
    connection.send(0, () =>
      server.accept(connection, 'worker', database ?? 'postgres', (result) => this.#answered(kept, result)),
    );
  }

  /** On the server: the answer goes back; then one more round trip for the session's settings. */
  #answered(kept: Kept, result: Session | LinkFailure): void {
    const host = this.#host;
    const { connection } = kept;
    if (typeof result === 'string') {
      connection.send(1, () => host.run(() => this.#lose(kept, result, result)));
      return;
    }
    result.owner = host.name;
    result.token = kept.token;
    connection.send(1, () =>
      host.run(() => {
        if (kept.ended) return;
        connection.send(0, () =>
          kept.server.receiveMessage(() =>
            connection.send(1, () =>
              host.run(() => {
                if (kept.ended) return;
                kept.session = result;
                this.#emit({ kind: 'session-opened', voter: kept.voter, attempt: kept.attempt });
              }),
            ),
          ),
        );
      }),
    );
  }

  close(voter: string): void {
    const kept = this.#kept.get(voter);
    if (kept === undefined) return;
    this.#kept.delete(voter);
    kept.ended = true;
    kept.connection.close(0);
  }

  command(voter: string, id: number, command: Command, deadlineMs: number): void {
    const kept = this.#kept.get(voter);
    if (kept === undefined || kept.session === null || kept.ended) return;
    const host = this.#host;
    const { session, server, connection } = kept;
    const context = {
      ownName: host.name,
      leaseTtlMs: host.settings.leaseTtlMs,
      deadlineMs: deadlineMs / server.rate,
    };
    const steps = runCommand(session, command, context);
    let finished = false;
    host.world.after(deadlineMs / host.clock.rate, () => {
      if (finished || kept.ended) return;
      host.run(() => {
        if (!finished) this.#lose(kept, 'timeout', `no answer to ${command.kind} in ${deadlineMs} ms`);
      });
    });
    /** On the server: runs the statement at hand, then answers. */
    const proceed = () => {
      if (!session.alive) return;
      session.running = true;
      let result: IteratorResult<number | null, import('../../src/core/events.js').Answer>;
      try {
        result = steps.next();
      } catch (error) {
        if (!(error instanceof StatementFailure)) throw error;
        session.running = false;
        session.idleSince = host.world.now;
        connection.send(1, () => host.run(() => this.#lose(kept, error.kind, error.message)));
        return;
      }
      if (!result.done && result.value !== null) {
        server.after(result.value, proceed);
        return;
      }
      session.running = false;
      session.idleSince = host.world.now;
      session.watchIdle();
      if (result.done) {
        const answer = result.value;
        connection.send(1, () =>
          host.run(() => {
            finished = true;
            if (!kept.ended) this.#emit({ kind: 'answer', voter, id, answer });
          }),
        );
      } else {
        connection.send(1, () =>
          host.run(() => {
            if (!kept.ended) connection.send(0, arrive);
          }),
        );
      }
    };
    /** A message from the client has arrived: the backend reads it when it runs. */
    const arrive = () =>
      server.receiveMessage(() => {
        session.configuration = server.postmasterConfiguration;
        proceed();
      });
    connection.send(0, arrive);
  }

  #lose(kept: Kept, failure: LinkFailure, detail: string): void {
    if (kept.ended) return;
    kept.ended = true;
    if (this.#kept.get(kept.voter) === kept) this.#kept.delete(kept.voter);
    kept.connection.close(0);
    this.#emit(lostEvent(kept.voter, kept.attempt, failure, detail));
  }

  closeAll(): void {
    for (const voter of [...this.#kept.keys()]) this.close(voter);
  }

  vanishAll(): void {
    for (const kept of this.#kept.values()) {
      kept.ended = true;
      kept.connection.vanish(0);
    }
    this.#kept.clear();
  }

  end(): Promise<void> {
    this.closeAll();
    return Promise.resolve();
  }
}

/** Before the session stands an ended connection is a refused one. */
function cutKind(kept: Kept): LinkFailure {
  return kept.session === null ? 'refused' : 'cut';
}

function lostEvent(voter: string, attempt: number, failure: LinkFailure, detail: string) {
  return { kind: 'session-lost' as const, voter, attempt, failure, detail };
}
