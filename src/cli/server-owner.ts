/**
 * Who runs the server. A command that is run as root without a role asks for a role "root", which hardly any cluster has: the
 * user that owns the server is meant.
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { textOf } from '../process/text-of.js';

const usualOwner = 'postgres';

/** As sudo takes it: a name, or #NUMBER where /etc/passwd has none. */
export function userNameOf(uid: number, passwd = textOf('/etc/passwd')): string {
  const line = passwd.split('\n').find((one) => one.split(':')[2] === String(uid));
  return line?.split(':')[0] ?? `'#${uid}'`;
}

function uidOf(path: string): number | null {
  try {
    return statSync(path).uid;
  } catch {
    return null;
  }
}

export interface Place {
  readonly host: string;
  readonly port: number;
}

/** By the data directory, else by the socket, which the server has made; root owns neither where PostgreSQL runs. */
export function serverOwner(dataDirectory: string | null, { host, port }: Place): string {
  const socket = host.startsWith('/') ? join(host, `.s.PGSQL.${port}`) : null;
  const uid = [dataDirectory, socket]
    .flatMap((path) => (path === null ? [] : [uidOf(path)]))
    .find((one) => one !== null && one !== 0);
  return uid === undefined || uid === null ? usualOwner : userNameOf(uid);
}

/** For a server that lets "root" not in. `own` is who runs this command. Null where that is not the matter. */
export function ownerHint(
  place: Place & { readonly user: string },
  dataDirectory: string | null,
  own: { readonly uid: number | undefined; readonly command: string },
): string | null {
  if (own.uid !== 0 || place.user !== 'root') return null;
  return `You are root. Run it as the user that owns the server: sudo -u ${serverOwner(dataDirectory, place)} pgkeeper ${own.command} ...; or give a role with -U.`;
}

/** For a data directory that is another user's, who alone may read it. Null where it is one's own, or root asks. */
export function strangersHint(
  dataDirectory: string | undefined,
  own: { readonly uid: number | undefined; readonly command: string },
): string | null {
  const owner = dataDirectory === undefined ? null : uidOf(dataDirectory);
  if (owner === null || own.uid === undefined || own.uid === 0 || owner === own.uid) return null;
  const user = owner === 0 ? usualOwner : userNameOf(owner);
  return `It belongs to another user. Run this as the user that owns the server: sudo -u ${user} pgkeeper ${own.command} ...`;
}

/** Who runs this command, and which. */
export function ownCall(): { readonly uid: number | undefined; readonly command: string } {
  return { uid: process.getuid?.(), command: process.argv[2] ?? '' };
}
