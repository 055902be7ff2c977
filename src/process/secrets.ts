/**
 * Handing a conninfo to a PostgreSQL program without showing its secrets in the process list: a command line is for everybody
 * to read. Passwords go by environment. What has no variable there (sslpassword) goes by a service file that only the
 * program's user may read, and that is gone when the program has ended.
 */
import { chownSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatConninfo, parseConninfo, secretKeywords } from '../core/conninfo.js';

export interface ProgramAccess {
  /** What the program is given to connect with. */
  readonly conninfo: string;
  readonly environment: Readonly<Record<string, string>>;
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

const serviceName = 'pgkeeper';

/** Runs `work` with what a program needs that runs as the owner of that path. */
export async function withProgramAccess<T>(
  conninfo: string,
  asOwnerOf: string,
  work: (access: ProgramAccess) => Promise<T>,
): Promise<T> {
  const parsed = parseConninfo(conninfo);
  if (parsed.kind !== 'parsed') throw new Error(parsed.message);
  const open = new Map([...Object.entries(lifeSigns), ...parsed.keywords]);
  const secrets = secretKeywords.flatMap((keyword) => {
    const value = open.get(keyword);
    open.delete(keyword);
    return value === undefined ? [] : [[keyword, value] as const];
  });
  const password = secrets.find(([keyword]) => keyword === 'password')?.[1];
  const environment = password === undefined ? {} : { PGPASSWORD: password };
  const others = secrets.filter(([keyword]) => keyword !== 'password');
  if (others.length === 0) return work({ conninfo: formatConninfo(open), environment });
  const folder = mkdtempSync(join(tmpdir(), 'pgkeeper-'));
  try {
    const file = writeServiceFile(folder, others, asOwnerOf);
    open.set('service', serviceName);
    return await work({
      conninfo: formatConninfo(open),
      environment: { ...environment, PGSERVICEFILE: file },
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Such a file knows no quotes: each line is taken as it is, without the spaces at its ends. */
function writeServiceFile(
  folder: string,
  secrets: readonly (readonly [string, string])[],
  asOwnerOf: string,
): string {
  const unfit = secrets.find(([, value]) => value !== value.trim() || /[\r\n]/.test(value));
  if (unfit !== undefined)
    throw new Error(
      `${unfit[0]} begins or ends with a space, or has a line break: it cannot be handed to PostgreSQL's programs; use another one`,
    );
  const file = join(folder, 'service.conf');
  const lines = secrets.map(([keyword, value]) => `${keyword}=${value}\n`);
  writeFileSync(file, `[${serviceName}]\n${lines.join('')}`, { mode: 0o600 });
  if (process.getuid?.() === 0) {
    const { uid, gid } = statSync(asOwnerOf);
    for (const path of [file, folder]) chownSync(path, uid, gid);
  }
  return file;
}
