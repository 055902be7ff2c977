/** Handing a conninfo to a PostgreSQL program without showing its secrets in the process list. */
import { formatConninfo, parseConninfo, withKeywords } from '../core/conninfo.js';

/** Passwords go by environment: a command line is for everybody to read. */
export function secretEnvironment(conninfo: string): Readonly<Record<string, string>> {
  const parsed = parseConninfo(conninfo);
  const password = parsed.kind === 'parsed' ? parsed.keywords.get('password') : undefined;
  return password === undefined ? {} : { PGPASSWORD: password };
}

export function withoutSecrets(conninfo: string): string {
  const parsed = parseConninfo(withKeywords(conninfo, { password: null }));
  return parsed.kind === 'parsed' ? formatConninfo(parsed.keywords) : '';
}
