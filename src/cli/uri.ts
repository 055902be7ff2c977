/** `pgkeeper uri`: one connection URI with every node in it, which finds the master wherever it is. */
import { parseConninfo } from '../core/conninfo.js';
import { targetOf } from '../postgres/connect.js';
import { defaultPort, wholeConninfo } from '../postgres/node-address.js';
import { passwordFromFile } from '../postgres/passfile.js';
import { type ConnectionOptions, conninfoOf } from './connection-options.js';
import { CommandFailure, type ExitCode, exitCodes } from './exit-codes.js';
import { print, printJson } from './output.js';
import { type Session, withSession } from './session.js';
import { sqlFailure } from './sql-failure.js';

export interface UriOptions extends ConnectionOptions {
  readonly json?: boolean;
  readonly withPassword?: boolean;
}

export async function runUri(options: UriOptions): Promise<ExitCode> {
  const uri = await withSession(conninfoOf(options), (session) => uriFor(session, options));
  if (options.json === true) printJson({ uri });
  else print(uri);
  return exitCodes.done;
}

interface Place {
  readonly host: string;
  readonly port: string;
}

/** User, database and TLS options are those this command itself connected with; addresses are the registry's. */
async function uriFor(session: Session, options: UriOptions): Promise<string> {
  const places = await placesOf(session);
  const target = targetOf(session.conninfo);
  const keywords = keywordsOf(session.conninfo);
  const kept = ['sslmode', 'sslrootcert', 'sslcert', 'sslkey'].flatMap((name) => {
    const value = keywords.get(name);
    return value === undefined ? [] : [`${name}=${encodeURIComponent(value)}`];
  });
  const query = [...kept, 'target_session_attrs=read-write'].join('&');
  const password = options.withPassword === true ? `:${encodeURIComponent(passwordOf(session))}` : '';
  const user = `${encodeURIComponent(target.user)}${password}@`;
  return `postgresql://${user}${places.map(placeText).join(',')}/${encodeURIComponent(target.database)}?${query}`;
}

function passwordOf({ conninfo }: Session): string {
  const keywords = keywordsOf(conninfo);
  const password =
    keywords.get('password') ??
    process.env['PGPASSWORD'] ??
    passwordFromFile(keywords.get('passfile') ?? process.env['PGPASSFILE'], targetOf(conninfo));
  if (password === undefined)
    throw new CommandFailure(exitCodes.failed, '--with-password: no password was given or found', [
      'Give it in -d, in PGPASSWORD or in ~/.pgpass.',
    ]);
  return password;
}

/** The master first: a client then finds it at its first try. */
async function placesOf({ client }: Session): Promise<readonly Place[]> {
  const { rows } = await client
    .query<{ name: string; conninfo: string }>(
      'select name, conninfo from pgkeeper.node_info order by is_master desc, is_nextmaster desc, seqno',
    )
    .catch((error: unknown) => {
      throw sqlFailure(error);
    });
  if (rows.length === 0)
    throw new CommandFailure(exitCodes.failed, 'no node is registered', [
      'On the master: pgkeeper add-node NAME CONNINFO',
    ]);
  return rows.map(({ conninfo }) => {
    const keywords = keywordsOf(wholeConninfo(conninfo));
    return {
      host: keywords.get('host') || keywords.get('hostaddr') || 'localhost',
      port: keywords.get('port') || defaultPort,
    };
  });
}

function keywordsOf(conninfo: string): ReadonlyMap<string, string> {
  const parsed = parseConninfo(conninfo);
  return parsed.kind === 'parsed' ? parsed.keywords : new Map();
}

function placeText({ host, port }: Place): string {
  return `${host.includes(':') ? `[${host}]` : encodeURIComponent(host)}:${port}`;
}
