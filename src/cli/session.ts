/** conninfo -> a session for one command, with libpq's rules for several hosts; failures in words with advice. */
import type pg from 'pg';
import { keywordOf, maskConninfo, parseConninfo, withKeywords } from '../core/conninfo.js';
import { ConninfoError, openClient, targetOf } from '../postgres/connect.js';
import { classifyFailure, type Failure, type FailureKind } from '../postgres/failure.js';
import { conninfoProblem } from './connection-options.js';
import { CommandFailure, exitCodes } from './exit-codes.js';
import { failureText } from './failure-text.js';
import { ownCall, ownerHint } from './server-owner.js';

/** One conninfo per host of a multi-host string, in its order. */
export function hostsOf(conninfo: string): readonly string[] {
  const parsed = parseConninfo(conninfo);
  if (parsed.kind === 'problem') return [conninfo];
  const hosts = (parsed.keywords.get('host') ?? process.env['PGHOST'] ?? '').split(',');
  const ports = (parsed.keywords.get('port') ?? process.env['PGPORT'] ?? '').split(',');
  if (hosts.length < 2) return [conninfo];
  return hosts.map((host, i) =>
    withKeywords(conninfo, {
      host: host === '' ? null : host,
      port: (ports.length > 1 ? ports[i] : ports[0]) || null,
    }),
  );
}

/** How long an operator's command waits for a server that says nothing, unless connect_timeout is given. */
const defaultConnectMs = 10_000;

export function connectTimeoutMs(conninfo: string): number {
  const seconds = Number(keywordOf(conninfo, 'connect_timeout') ?? process.env['PGCONNECT_TIMEOUT'] ?? '');
  return Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : defaultConnectMs;
}

const advice: Partial<Record<FailureKind, string>> = {
  refused: 'Is the server running there, and does it listen on that address (listen_addresses)?',
  timeout: 'The host may be down, or a firewall swallows the packets; connect_timeout sets how long to wait.',
  unreachable: 'Is the host name right, and is there a way to it?',
  auth: 'Check the user, pg_hba.conf and the password, which is taken from -d, PGPASSWORD or ~/.pgpass (mode 0600).',
  'missing-database': 'Give the database the registry lives in with -d.',
  'starting-up': 'The server is starting up; try again in a moment.',
  'too-many-connections': 'Every connection slot is taken; raise max_connections or use a superuser.',
};

/** Where a conninfo leads, without secrets: for messages. */
export function describeTarget(conninfo: string): string {
  const { host, port, user, database } = targetOf(conninfo);
  const place = host.startsWith('/') ? `socket ${host}/.s.PGSQL.${port}` : `${host}:${port}`;
  return `${place} as user "${user}", database "${database}"`;
}

export function connectionFailure(conninfo: string, error: unknown): CommandFailure {
  if (error instanceof ConninfoError)
    return new CommandFailure(exitCodes.usage, conninfoProblem(conninfo, maskConninfo(error.message)));
  return unreachable(conninfo, classifyFailure(error));
}

/** The failure of an attempt, with advice. */
export function unreachable(
  conninfo: string,
  failure: Failure,
  dataDirectory: string | null = process.env['PGDATA'] || null,
): CommandFailure {
  const hint = rootsHint(conninfo, failure, dataDirectory) ?? advice[failure.kind];
  return new CommandFailure(
    exitCodes.cannotConnect,
    `cannot connect to ${describeTarget(conninfo)}: ${failureText(failure)}`,
    hint === undefined ? [] : [hint],
  );
}

function rootsHint(conninfo: string, { kind }: Failure, dataDirectory: string | null): string | null {
  return kind === 'auth' ? ownerHint(targetOf(conninfo), dataDirectory, ownCall()) : null;
}

export interface Session {
  readonly client: pg.Client;
  /** Of the one server it leads to. */
  readonly conninfo: string;
}

/** A session on the first host that answers and has the wished role; CommandFailure if there is none. */
export async function connect(conninfo: string): Promise<Session> {
  const failures: CommandFailure[] = [];
  for (const one of hostsOf(conninfo)) {
    try {
      const client = await openClient(one, {
        applicationName: 'pgkeeper',
        connectTimeoutMs: connectTimeoutMs(one),
      });
      const unfit = await unfitness(client, one);
      if (unfit === null) return { client, conninfo: one };
      await client.end().catch(() => undefined);
      failures.push(
        new CommandFailure(exitCodes.cannotConnect, `${describeTarget(one)}: the server is ${unfit}`),
      );
    } catch (error) {
      failures.push(connectionFailure(one, error));
    }
  }
  const [first, ...others] = failures;
  if (first !== undefined && others.length === 0) throw first;
  throw new CommandFailure(
    first?.exitCode ?? exitCodes.cannotConnect,
    failures.map((failure) => failure.message).join('\n'),
    [...new Set(failures.flatMap((failure) => failure.hints))],
  );
}

/** Against target_session_attrs, as far as recovery decides it. Null = fits. */
async function unfitness(client: pg.Client, conninfo: string): Promise<string | null> {
  const wish = keywordOf(conninfo, 'target_session_attrs') ?? process.env['PGTARGETSESSIONATTRS'] ?? 'any';
  if (wish === 'any' || wish === 'prefer-standby') return null;
  const { rows } = await client.query<{ standby: boolean }>('select pg_is_in_recovery() as standby');
  const standby = rows[0]?.standby === true;
  const wantsStandby = wish === 'standby' || wish === 'read-only';
  return standby === wantsStandby ? null : standby ? 'a standby' : 'not a standby';
}

/** Runs with a session and always hangs up. */
export async function withSession<T>(conninfo: string, run: (session: Session) => Promise<T>): Promise<T> {
  const session = await connect(conninfo);
  try {
    return await run(session);
  } finally {
    await session.client.end().catch(() => undefined);
  }
}
