/**
 * From a libpq connection string to a connected `pg` client. `pg` silently misreads key/value strings, ignores
 * connect_timeout and maps sslmode in its own way, so everything is resolved here and handed over explicitly.
 */
import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import pg from 'pg';
import { parseConninfo } from '../core/conninfo.js';
import { defaultPort, defaultSocketFolder } from './node-address.js';
import { passwordFromFile } from './passfile.js';

export interface OpenOptions {
  readonly applicationName: string;
  readonly connectTimeoutMs: number;
  /** A connection that speaks the streaming protocol's commands, as pg_basebackup and WAL receivers use. */
  readonly replication?: boolean;
  /** Of a PgBouncer: it knows no SQL. */
  readonly adminConsole?: boolean;
}

/** A connection string that cannot be used, or asks for something this program cannot give. */
export class ConninfoError extends Error {
  override readonly name = 'ConninfoError';
}

type Unsupported = readonly [variable: string, isRefused: (value: string) => boolean];

/** Options that must be refused rather than ignored: those of security, and the one that leads to another server. */
const unsupported: Readonly<Record<string, Unsupported>> = {
  sslcrl: ['PGSSLCRL', () => true],
  sslcrldir: ['PGSSLCRLDIR', () => true],
  channel_binding: ['PGCHANNELBINDING', (value) => value === 'require'],
  gssencmode: ['PGGSSENCMODE', (value) => value === 'require'],
  require_auth: ['PGREQUIREAUTH', () => true],
  service: ['PGSERVICE', () => true],
};

/** Of a conninfo that says all of these itself a service changes nothing that matters. */
const fromService = ['host', 'port', 'user', 'dbname'] as const;

function keywordsOf(conninfo: string): ReadonlyMap<string, string> {
  const parsed = parseConninfo(conninfo);
  if (parsed.kind === 'problem') throw new ConninfoError(parsed.message);
  for (const [keyword, [variable, isRefused]] of Object.entries(unsupported)) {
    const value = parsed.keywords.get(keyword);
    if (value !== undefined && isRefused(value))
      throw new ConninfoError(`connection option ${keyword}=${value} is not supported; remove it`);
    const set = value === undefined ? process.env[variable] : undefined;
    if (!set || !isRefused(set)) continue;
    if (keyword === 'service' && fromService.every((name) => parsed.keywords.get(name))) continue;
    throw new ConninfoError(`${variable} is not supported; unset it, and say with -d where to connect to`);
  }
  return parsed.keywords;
}

/** Where a conninfo leads, libpq's defaults and PG* variables applied. */
export interface Target {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
}

export function targetOf(conninfo: string): Target {
  const found = keywordsOf(conninfo);
  const { env } = process;
  const get = (keyword: string, variable: string) => found.get(keyword) || env[variable] || undefined;
  const user = get('user', 'PGUSER') ?? userInfo().username;
  const host = (found.get('hostaddr') || get('host', 'PGHOST') || '').split(',')[0];
  const port = Number((get('port', 'PGPORT') ?? defaultPort).split(',')[0]);
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new ConninfoError(`invalid port number: "${found.get('port') ?? env['PGPORT'] ?? ''}"`);
  return {
    host: host === undefined || host === '' ? defaultSocketFolder(String(port)) : host,
    port,
    user,
    database: get('dbname', 'PGDATABASE') ?? user,
  };
}

type TlsChoice =
  | { readonly kind: 'plain' }
  | { readonly kind: 'tls'; readonly options: pg.ClientConfig['ssl'] };

/** sslmode -> what to try, in order. prefer: TLS, then plain, as libpq does. */
function tlsChoices(found: ReadonlyMap<string, string>, host: string): readonly TlsChoice[] {
  const mode = found.get('sslmode') ?? process.env['PGSSLMODE'] ?? 'prefer';
  const plain: TlsChoice = { kind: 'plain' };
  if (host.startsWith('/') || mode === 'disable') return [plain];
  const read = (keyword: string) => {
    const path = found.get(keyword) ?? process.env[`PG${keyword.toUpperCase()}`];
    return path === undefined || path === '' || path === 'system' ? undefined : readFileSync(path, 'utf8');
  };
  const verify =
    mode === 'verify-ca' ||
    mode === 'verify-full' ||
    (mode === 'require' && (found.has('sslrootcert') || Boolean(process.env['PGSSLROOTCERT'])));
  const options = {
    rejectUnauthorized: verify,
    ...(mode === 'verify-full' ? {} : { checkServerIdentity: () => undefined }),
    ...definedOnly({
      ca: read('sslrootcert'),
      cert: read('sslcert'),
      key: read('sslkey'),
      passphrase: found.get('sslpassword'),
    }),
  };
  const tls: TlsChoice = { kind: 'tls', options };
  switch (mode) {
    case 'allow':
      return [plain, tls];
    case 'prefer':
      return [tls, plain];
    case 'require':
    case 'verify-ca':
    case 'verify-full':
      return [tls];
    default:
      throw new ConninfoError(`invalid sslmode value: "${mode}"`);
  }
}

function definedOnly<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

function configFor(conninfo: string, options: OpenOptions, tls: TlsChoice): pg.ClientConfig {
  const found = keywordsOf(conninfo);
  const target = targetOf(conninfo);
  const password = found.get('password') ?? process.env['PGPASSWORD'];
  return {
    ...target,
    password:
      password ?? (() => passwordFromFile(found.get('passfile') ?? process.env['PGPASSFILE'], target) ?? ''),
    application_name: options.applicationName,
    connectionTimeoutMillis: Math.max(1, Math.round(options.connectTimeoutMs)),
    keepAlive: true,
    ssl: tls.kind === 'tls' ? (tls.options ?? false) : false,
    ...(found.has('options') ? { options: found.get('options') ?? '' } : {}),
    ...(options.replication === true ? { replication: 'true' } : {}),
  };
}

/** For libraries that make their own client: the first choice of TLS that `openClient` found to work is not known here. */
export async function clientConfigOf(conninfo: string, options: OpenOptions): Promise<pg.ClientConfig> {
  const client = await openClient(conninfo, options);
  const usedTls = 'encrypted' in streamOf(client);
  await client.end();
  const choices = tlsChoices(keywordsOf(conninfo), targetOf(conninfo).host);
  const choice = choices.find((candidate) => (candidate.kind === 'tls') === usedTls) ?? {
    kind: 'plain' as const,
  };
  return configFor(conninfo, options, choice);
}

/** What pg's sockets are, as far as we use them; pg's types leave the connection out. */
function streamOf(client: pg.Client): object & { destroy(): void } {
  return (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream;
}

/** Closes the socket at once, without waiting for the other side, which may be frozen. */
export function discardClient(client: pg.Client): void {
  client.on('error', () => undefined);
  streamOf(client).destroy();
}

/** Nothing that others may have put into a schema of the user's search_path is ever called, operators included. */
const ownSearchPath = 'set search_path = pg_catalog, pg_temp';

/** A server that has no TLS is asked for it again after so long, ms. */
const tlsAgainMs = 60_000;
/** Until when, by place. `pg` cannot go on without TLS on the connection that asked for it: each time a second one, and a process there. */
const withoutTls = new Map<string, number>();

/** A connected client. Its late errors never become uncaught; after a timeout its socket is gone. */
export async function openClient(conninfo: string, options: OpenOptions): Promise<pg.Client> {
  const { host, port } = targetOf(conninfo);
  const place = `${host}:${port}`;
  const wished = tlsChoices(keywordsOf(conninfo), host);
  const isKnown = (withoutTls.get(place) ?? 0) > performance.now();
  const choices = isKnown
    ? wished.toSorted((a, b) => Number(a.kind === 'tls') - Number(b.kind === 'tls'))
    : wished;
  let last: unknown;
  for (const choice of choices) {
    const client = new pg.Client(configFor(conninfo, options, choice));
    client.on('error', () => undefined);
    try {
      await client.connect();
      if (options.replication !== true && options.adminConsole !== true) await client.query(ownSearchPath);
      return client;
    } catch (error) {
      discardClient(client);
      last = error;
      if (error instanceof Error && /does not support SSL/.test(error.message))
        withoutTls.set(place, performance.now() + tlsAgainMs);
      // Only a refusal of TLS itself makes the other choice worth a try.
      if (!(error instanceof Error && /SSL|TLS|no pg_hba.conf entry/i.test(error.message))) throw error;
    }
  }
  throw last;
}

/** A query with a deadline of our own; after it the session is of no use and its socket is closed. */
export async function queryWithDeadline(
  client: pg.Client,
  text: string,
  values: readonly unknown[],
  deadlineMs: number,
): Promise<pg.QueryResult> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      discardClient(client);
      reject(new Error(`timeout: no answer in ${Math.round(deadlineMs)} ms`));
    }, deadlineMs);
  });
  // Without values the text may hold several statements.
  const query = values.length === 0 ? client.query(text) : client.query(text, [...values]);
  query.catch(() => undefined);
  try {
    return await Promise.race([query, late]);
  } finally {
    clearTimeout(timer);
  }
}
