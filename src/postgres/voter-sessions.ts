/**
 * The kept session to each voter. A session that meets any error is ended: a vote must never survive in a session
 * whose state is unknown. What the commands do on the server is commands.ts.
 */
import type pg from 'pg';
import { withKeywords } from '../core/conninfo.js';
import type { Command, WitnessKey } from '../core/effects.js';
import type { Observation } from '../core/types.js';
import type { Emit, SessionRequest, VoterSessions } from '../ports.js';
import { runCommand } from './commands.js';
import { discardClient, openClient, queryWithDeadline } from './connect.js';
import { classifyFailure } from './failure.js';
import { linkFailureOf } from './link-failure.js';
import { CommandError, type SessionContext } from './session-context.js';
import { witnessSessionPrefix } from './witness.js';

export interface SessionOptions {
  readonly nodeName: string;
  /** How this worker reaches its own server. */
  readonly ownConninfo: string;
  readonly leaseTtlMs: () => number;
  readonly connectTimeoutMs: () => number;
  /** Of the own server: is the beginning of a record all that is left to replay? */
  readonly endsWithinRecord: (look: Observation) => boolean;
}

interface Session {
  readonly voter: string;
  readonly attempt: number;
  client: pg.Client | null;
  context: SessionContext | null;
  ended: boolean;
}

/**
 * ALTER SYSTEM with a primary_conninfo may carry a password, and log_statement = ddl would write it to the log. Only a
 * superuser may say so here; for other roles `check` tells of ALTER ROLE ... SET.
 */
const unloggedSql = `select set_config('log_statement', 'none', false) from pg_roles where rolname = current_user and rolsuper;`;

/**
 * What every session sets: no surprise may end it before its lease does, nothing may hang in it (protocol 1.2). Where a
 * voter's clock is set back idle_session_timeout does not come (PostgreSQL waits by the wall clock): then few keepalives
 * end the session of a holder that is gone.
 */
function sessionSettingsSql(leaseTtlMs: number): string {
  const keepaliveSeconds = Math.ceil((2 * leaseTtlMs) / 1000) + 1;
  return `set statement_timeout = ${Math.max(1000, Math.ceil(leaseTtlMs / 2))};
set lock_timeout = ${Math.max(200, Math.ceil(leaseTtlMs / 6))};
set idle_session_timeout = 0;
set tcp_keepalives_idle = ${keepaliveSeconds};
set tcp_keepalives_interval = ${keepaliveSeconds};
set tcp_keepalives_count = 2;
set tcp_user_timeout = 0;
set client_connection_check_interval = 0;
set synchronous_commit = local;
set default_transaction_read_only = off;
set search_path = pg_catalog;
set jit = off;
${unloggedSql}`;
}

export class PostgresVoterSessions implements VoterSessions {
  readonly #emit: Emit;
  readonly #options: SessionOptions;
  readonly #sessions = new Map<string, Session>();
  readonly #closing = new Set<Promise<void>>();
  #state = 'starting';

  constructor(options: SessionOptions, emit: Emit) {
    this.#options = options;
    this.#emit = emit;
  }

  setState(state: string): void {
    this.#state = state;
  }

  open(request: SessionRequest): void {
    const { voter, attempt } = request;
    this.close(voter);
    const session: Session = { voter, attempt, client: null, context: null, ended: false };
    this.#sessions.set(voter, session);
    this.#connect(session, request).catch((error: unknown) => this.#lose(session, error));
  }

  async #connect(session: Session, { conninfo, database, witness }: SessionRequest): Promise<void> {
    const base = conninfo ?? this.#options.ownConninfo;
    const client = await openClient(database === null ? base : withKeywords(base, { dbname: database }), {
      applicationName: this.#applicationName(witness),
      connectTimeoutMs: this.#options.connectTimeoutMs(),
    });
    if (session.ended) return discardClient(client);
    session.client = client;
    client.on('error', (error) => this.#lose(session, error));
    client.on('end', () => this.#lose(session, new Error('the session ended')));
    await queryWithDeadline(
      client,
      sessionSettingsSql(this.#options.leaseTtlMs()),
      [],
      this.#options.connectTimeoutMs(),
    );
    if (session.ended) return;
    session.context = {
      client,
      conninfo: base,
      ownName: this.#options.nodeName,
      witness,
      endsWithinRecord: conninfo === null ? this.#options.endsWithinRecord : null,
      leaseTtlMs: this.#options.leaseTtlMs,
      applicationName: () => this.#applicationName(witness),
      schemaKnown: false,
      backendPid: null,
    };
    this.#emit({ kind: 'session-opened', voter: session.voter, attempt: session.attempt });
  }

  /** 'pgk STATE NAME', cut by the server to 63 bytes: how other servers show this worker's state. */
  #applicationName(witness: WitnessKey | null): string {
    if (witness !== null) return `${witnessSessionPrefix(witness)}${this.#options.nodeName}`;
    return `pgk ${this.#state} ${this.#options.nodeName}`;
  }

  close(voter: string): void {
    const session = this.#sessions.get(voter);
    if (session === undefined) return;
    this.#sessions.delete(voter);
    session.ended = true;
    if (session.client !== null) discardClient(session.client);
  }

  command(voter: string, id: number, command: Command, deadlineMs: number): void {
    const session = this.#sessions.get(voter);
    if (session?.context === null || session?.context === undefined) return;
    const timer = setTimeout(
      () =>
        this.#lose(session, new CommandError('timeout', `no answer to ${command.kind} in ${deadlineMs} ms`)),
      deadlineMs,
    );
    runCommand(session.context, command, deadlineMs).then(
      (answer) => {
        clearTimeout(timer);
        if (!session.ended) this.#emit({ kind: 'answer', voter, id, answer });
      },
      (error: unknown) => {
        clearTimeout(timer);
        this.#lose(session, error);
      },
    );
  }

  #lose(session: Session, error: unknown): void {
    if (session.ended) return;
    session.ended = true;
    if (this.#sessions.get(session.voter) === session) this.#sessions.delete(session.voter);
    if (session.client !== null) discardClient(session.client);
    const failure =
      error instanceof CommandError ? { kind: error.kind, detail: error.message } : failureOf(error);
    this.#emit({
      kind: 'session-lost',
      voter: session.voter,
      attempt: session.attempt,
      failure: failure.kind,
      detail: failure.detail,
    });
  }

  async end(): Promise<void> {
    for (const voter of [...this.#sessions.keys()]) this.close(voter);
    await Promise.allSettled(this.#closing);
  }
}

function failureOf(error: unknown) {
  const failure = classifyFailure(error);
  return { kind: linkFailureOf(failure.kind), detail: failure.message };
}
