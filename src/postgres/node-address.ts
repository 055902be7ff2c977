/**
 * What libpq fills in where a conninfo names no host or port. Of a registered node that must be the same for everybody: the PG*
 * variables of one worker lead to its own server, and pg_stat_wal_receiver shows the host that was filled in.
 */
import { existsSync } from 'node:fs';
import { parseConninfo, withKeywords } from '../core/conninfo.js';
import { remembering } from '../core/recent.js';

export const defaultPort = '5432';

/** Debian compiles in the first, the sources the second. The one in which a server of that port listens, else the one that is there. */
export function defaultSocketFolder(port: string = defaultPort): string {
  const folders = ['/var/run/postgresql', '/tmp'] as const;
  const serving = folders.find((folder) => existsSync(`${folder}/.s.PGSQL.${port}`));
  return serving ?? (existsSync(folders[0]) ? folders[0] : folders[1]);
}

/** A node's conninfo that leaves nothing of its address to the environment. Whole, or unreadable, it stays as it is. */
export function wholeConninfo(conninfo: string): string {
  const { port, hasHost, hasPort } = addressIn(conninfo);
  if (hasHost && hasPort) return conninfo;
  return withKeywords(conninfo, {
    ...(hasHost ? {} : { host: defaultSocketFolder(port), hostaddr: null }),
    ...(hasPort ? {} : { port }),
  });
}

/** Remembered: every look at a server asks this of every node. Where the socket is may change, and is looked up each time. */
const addressIn = remembering((conninfo: string) => {
  const parsed = parseConninfo(conninfo);
  // What cannot be read, or stands elsewhere, is left as it is.
  if (parsed.kind === 'problem' || parsed.keywords.has('service'))
    return { port: defaultPort, hasHost: true, hasPort: true };
  const { keywords } = parsed;
  return {
    port: keywords.get('port') || defaultPort,
    hasHost: Boolean(keywords.get('host') || keywords.get('hostaddr')),
    hasPort: Boolean(keywords.get('port')),
  };
});
