/** ~/.pgpass: host:port:database:user:password, `*` matches all, `\` escapes. Ignored, as libpq does, when others may read it. */
import { readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Target } from './connect.js';

function fieldsOf(line: string): readonly string[] {
  const fields: string[] = [''];
  for (let i = 0; i < line.length; i++) {
    const char = line.charAt(i);
    if (char === ':' && fields.length < 5) fields.push('');
    else fields[fields.length - 1] += char === '\\' && i + 1 < line.length ? line.charAt(++i) : char;
  }
  return fields;
}

export function passwordFromFile(path: string | undefined, target: Target): string | undefined {
  const file = path ?? join(homedir(), '.pgpass');
  let text: string;
  try {
    if ((statSync(file).mode & 0o077) !== 0) return undefined;
    text = readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
  const host = target.host.startsWith('/') ? 'localhost' : target.host;
  for (const line of text.split('\n')) {
    if (line.startsWith('#') || line.trim() === '') continue;
    const [fileHost, port, database, user, password] = fieldsOf(line.replace(/\r$/, ''));
    const matches = (field: string | undefined, value: string) => field === '*' || field === value;
    if (
      matches(fileHost, host) &&
      matches(port, String(target.port)) &&
      matches(database, target.database) &&
      matches(user, target.user)
    ) {
      return password;
    }
  }
  return undefined;
}
