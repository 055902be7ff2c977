/**
 * psql's connection flags -> conninfo, with psql's rules: -d may be a conninfo or URI, whose keywords count more than the
 * flags. Nothing is connected here (session.ts), so that asking for help loads no driver.
 */
import type { Command } from 'commander';
import { isUri, parseConninfo, withKeywords } from '../core/conninfo.js';
import { CommandFailure, exitCodes } from './exit-codes.js';

export interface ConnectionOptions {
  readonly host?: string;
  readonly port?: string;
  readonly username?: string;
  readonly dbname?: string;
}

export function addConnectionOptions(command: Command): Command {
  return command
    .option('-h, --host <host>', 'server host or socket directory (PGHOST)')
    .option('-p, --port <port>', 'server port (PGPORT)')
    .option('-U, --username <user>', 'role to connect as (PGUSER)')
    .option('-d, --dbname <database>', 'database name, or a conninfo string or URI (PGDATABASE)');
}

/** '' = nothing given: libpq's defaults. */
export function conninfoOf(options: ConnectionOptions): string {
  const { host, port, username, dbname } = options;
  const flags = Object.entries({ host, port, user: username }).filter(([, value]) => value !== undefined);
  const isString = dbname !== undefined && (isUri(dbname) || dbname.includes('='));
  if (!isString) {
    const all = dbname === undefined ? flags : [...flags, ['dbname', dbname] as const];
    return withKeywords('', Object.fromEntries(all) as Record<string, string>);
  }
  const parsed = parseConninfo(dbname);
  if (parsed.kind === 'problem')
    throw new CommandFailure(exitCodes.usage, `-d: ${conninfoProblem(dbname, parsed.message)}`);
  return withKeywords(
    dbname,
    Object.fromEntries(flags.filter(([keyword]) => !parsed.keywords.has(keyword))) as Record<string, string>,
  );
}

/** Why a conninfo cannot be read. The word at fault may be a piece of a password that was not quoted. */
export function conninfoProblem(conninfo: string, message: string): string {
  const isGrammar = /^(missing|unterminated|invalid connection option)/.test(message);
  if (!isGrammar) return message;
  const hint = isUri(conninfo)
    ? 'special characters in a URI are written as %XX'
    : 'a value with blanks stands in single quotes, with \\ before quotes and backslashes inside';
  const isOpen = isUri(conninfo) ? /"[a-z_]+"$/.test(message) : !/password|secret/i.test(conninfo);
  if (isOpen) return `${message}; ${hint}`;
  return `${message.replace(/"[^"]+"/g, (word) => (word === '"="' ? word : '"***"'))}; ${hint}`;
}
