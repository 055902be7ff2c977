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

/**
 * For programs that wait for a server without a deadline of their own: a host that is gone is noticed by the kernel, within
 * half a minute at most. What the conninfo says itself stands.
 */
const lifeSigns: Readonly<Record<string, string>> = {
  connect_timeout: '10',
  keepalives: '1',
  keepalives_idle: '10',
  keepalives_interval: '5',
  keepalives_count: '3',
  tcp_user_timeout: '25000',
};

/** What pg_rewind and pg_basebackup are given to connect with. */
export function programConninfo(conninfo: string): string {
  const open = withoutSecrets(conninfo);
  const parsed = parseConninfo(open);
  return parsed.kind === 'parsed'
    ? formatConninfo(new Map([...Object.entries(lifeSigns), ...parsed.keywords]))
    : open;
}
