/** The kept sessions of one worker over modelled connections: what src/postgres/voter-sessions.ts is in production. */
import type { Command } from '../../src/core/effects.js';
import type { Answer } from '../../src/core/events.js';
import type { LinkFailure } from '../../src/core/types.js';
import { pollDeadlineMs } from '../../src/core/types.js';
import type { Emit, SessionRequest, VoterSessions } from '../../src/ports.js';
import { answerAtOnce, runCommand, StatementFailure } from './backend.js';
import { targetOf } from './configuration.js';
import type { Host } from './host.js';
import { changesElsewhere, sendApart } from './late-statements.js';
import { Connection } from './network.js';
import type { Server } from './server.js';
import type { Session } from './session.js';

/** A command on its way, one at a time for each session. */
interface Pending {
  readonly id: number;
  readonly command: Command;
  readonly deadlineMs: number;
  readonly dueAt: number;
  steps: ReturnType<typeof runCommand> | null;
}

/** A FATAL message arrived at the client's end. */
export function heardFatal(connection: Connection, failure: LinkFailure): void {
  connection.fatal = failure;
}

/** One kept session as both ends see it. What either end does next is made once, not for each statement. */
class Kept {
  readonly voter: string;
  readonly attempt: number;
  readonly token: string;
  readonly connection: Connection;
  readonly server: Server;
  readonly #model: SessionsModel;
  readonly #host: Host;
  session: Session | null = null;
  ended = false;
  pending: Pending | null = null;
  /** What the server answered last, on its way to the worker. */
  #answer: Answer | null = null;
  /** The next look at whether the answer is overdue. */
  #lookAt = Number.POSITIVE_INFINITY;

  constructor(
    model: SessionsModel,
    host: Host,
    open: { readonly voter: string; readonly attempt: number; readonly token: string },
    server: Server,
  ) {
    this.#model = model;
    this.#host = host;
    this.voter = open.voter;
    this.attempt = open.attempt;
    this.token = open.token;
    this.server = server;
    this.connection = new Connection(server.around.network, host, server.machine);
  }

  begin(id: number, command: Command, deadlineMs: number): void {
    const { world, clock } = this.#host;
    const dueAt = world.now + deadlineMs / clock.rate;
    this.pending = { id, command, deadlineMs, dueAt, steps: null };
    this.#watch(dueAt);
    this.connection.send(0, this.#arrive);
  }

  /** One look at a time: nearly every answer comes long before its deadline. */
  #watch(at: number): void {
    if (this.#lookAt <= at) return;
    this.#lookAt = at;
    this.#host.world.at(at, this.#look);
  }

  readonly #look = () => {
    const { now } = this.#host.world;
    if (this.ended || this.#lookAt > now) return;
    this.#lookAt = Number.POSITIVE_INFINITY;
    const { pending } = this;
    if (pending === null) return;
    if (pending.dueAt > now) return this.#watch(pending.dueAt);
    this.#host.run(() => {
      const { command, deadlineMs } = pending;
      if (this.pending === pending)
        this.#model.lose(this, 'timeout', `no answer to ${command.kind} in ${deadlineMs} ms`);
    });
  };

  /** A message from the client has arrived: the backend reads it when it runs. */
  readonly #arrive = () => {
    if (this.server.frozen) this.server.receiveMessage(this.#read);
    else this.#read();
  };

  readonly #read = () => {
    if (this.session !== null) this.session.configuration = this.server.postmasterConfiguration;
    this.#proceed();
  };

  /** On the server: runs the statement at hand, then answers. */
  readonly #proceed = () => {
    const { session, pending, server } = this;
    if (session === null || pending === null || !session.alive) return;
    session.running = true;
    let answer = pending.steps === null ? answerAtOnce(session, pending.command) : null;
    if (answer === null) {
      pending.steps ??= runCommand(session, pending.command, {
        ownName: this.#host.name,
        leaseTtlMs: this.#host.settings.leaseTtlMs,
        deadlineMs: pending.deadlineMs / server.rate,
      });
      const result = this.#next(session, pending.steps);
      if (result === null) return;
      if (!result.done && result.value !== null) return server.after(result.value, this.#proceed);
      if (result.done) answer = result.value;
    }
    session.running = false;
    session.idleSince = this.#host.world.now;
    session.watchIdle();
    this.#answer = answer;
    this.connection.send(1, this.#answered);
  };

  /** Null when the statement failed: the worker ends that session. */
  #next(
    session: Session,
    steps: ReturnType<typeof runCommand>,
  ): IteratorResult<number | null, Answer> | null {
    try {
      return steps.next();
    } catch (error) {
      if (!(error instanceof StatementFailure)) throw error;
      session.running = false;
      session.idleSince = this.#host.world.now;
      this.connection.send(1, () => this.#host.run(() => this.#model.lose(this, error.kind, error.message)));
      return null;
    }
  }

  readonly #answered = () => this.#host.run(this.#take);

  /** At the worker: the whole answer, or the next statement of the same command. */
  readonly #take = () => {
    if (this.ended || this.pending === null) return;
    const answer = this.#answer;
    if (answer === null) return this.connection.send(0, this.#arrive);
    const { id } = this.pending;
    this.pending = null;
    this.#answer = null;
    this.#model.emit({ kind: 'answer', voter: this.voter, id, answer });
  };
}

export class SessionsModel implements VoterSessions {
  readonly #host: Host;
  readonly emit: Emit;
  readonly #kept = new Map<string, Kept>();

  constructor(host: Host, emit: Emit) {
    this.#host = host;
    this.emit = emit;
  }

  setState(): void {}

  open({ voter, conninfo, database, attempt, witness }: SessionRequest): void {
    this.close(voter);
    const host = this.#host;
    const { around } = host.server;
    const server = conninfo === null ? host.server : around.serverNamed(targetOf(conninfo).host);
    if (server === undefined) {
      host.world.after(1, () => this.emit(lostEvent(voter, attempt, 'unreachable', 'no such host')));
      return;
    }
    const kept = new Kept(this, host, { voter, attempt, token: witness?.token ?? '' }, server);
    const { connection } = kept;
    this.#kept.set(voter, kept);
    connection.onEnd[0] = () =>
      host.run(() => this.lose(kept, connection.fatal ?? cutKind(kept), 'the session ended'));
    const timeoutMs = pollDeadlineMs(host.settings);
    host.world.after(timeoutMs / host.clock.rate, () =>
      host.run(() => {
        if (kept.session === null) this.lose(kept, 'timeout', `no connection in ${timeoutMs} ms`);
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
      connection.send(1, () => host.run(() => this.lose(kept, result, result)));
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
                this.emit({ kind: 'session-opened', voter: kept.voter, attempt: kept.attempt });
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
    if (changesElsewhere(command) && this.#host.mistakes.has('statements-apart'))
      return sendApart(this.#host, kept.session, command, deadlineMs, (answer) => {
        if (!kept.ended) this.emit({ kind: 'answer', voter, id, answer });
      });
    kept.begin(id, command, deadlineMs);
  }

  lose(kept: Kept, failure: LinkFailure, detail: string): void {
    if (kept.ended) return;
    kept.ended = true;
    if (this.#kept.get(kept.voter) === kept) this.#kept.delete(kept.voter);
    kept.connection.close(0);
    this.emit(lostEvent(kept.voter, kept.attempt, failure, detail));
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
