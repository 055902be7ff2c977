/**
 * What libpq fills in where a conninfo names no host or port. Of a registered node that must be the same for everybody: the PG*
 * variables of one worker lead to its own server, and pg_stat_wal_receiver shows the host that was filled in.
 */
import { existsSync } from 'node:fs';
import { parseConninfo, withKeywords } from '../core/conninfo.js';

export const defaultPort = '5432';

/** Debian compiles in the first, the sources the second. The one in which a server of that port listens, else the one that is there. */
export function defaultSocketFolder(port: string = defaultPort): string {
  const folders = ['/var/run/postgresql', '/tmp'] as const;
  const serving = folders.find((folder) => existsSync(`${folder}/.s.PGSQL.${port}`));
  return serving ?? (existsSync(folders[0]) ? folders[0] : folders[1]);
}

/** A node's conninfo that leaves nothing of its address to the environment. Whole, or unreadable, it stays as it is. */
export function wholeConninfo(conninfo: string): string {
  const parsed = parseConninfo(conninfo);
  if (parsed.kind === 'problem' || parsed.keywords.has('service')) return conninfo;
  const { keywords } = parsed;
  const port = keywords.get('port') || defaultPort;
  const hasHost = Boolean(keywords.get('host') || keywords.get('hostaddr'));
  const hasPort = Boolean(keywords.get('port'));
  if (hasHost && hasPort) return conninfo;
  return withKeywords(conninfo, {
    ...(hasHost ? {} : { host: defaultSocketFolder(port), hostaddr: null }),
    ...(hasPort ? {} : { port }),
  });
}
