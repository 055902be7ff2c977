/**
 * Settings in a server's files while nobody runs to ask: postgresql.conf is read, postgresql.auto.conf is read and
 * written (as ALTER SYSTEM would). Include directives are followed for reading.
 */
import {
  chownSync,
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';

const line = /^\s*([A-Za-z_][\w.]*)\s*(?:=\s*|\s+)('(?:[^'\\\n]|\\.|'')*'|[^\s#']*)\s*(?:#.*)?$/;

function unquote(raw: string): string {
  if (!raw.startsWith("'")) return raw;
  return raw.slice(1, -1).replace(/''|\\(.)/g, (_, escaped: string | undefined) => escaped ?? "'");
}

/** Settings of one text, names in lower case, later lines win; `include` directives come back in order. */
function entriesOf(text: string): readonly (readonly [string, string])[] {
  return text.split('\n').flatMap((raw) => {
    const match = line.exec(raw.replace(/\r$/, ''));
    return match === null ? [] : [[(match[1] ?? '').toLowerCase(), unquote(match[2] ?? '')] as const];
  });
}

const deepestInclude = 10;

/** All settings a server with that configuration file would read. A missing file holds none. */
export function readConfiguration(path: string, depth = 0): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  if (!existsSync(path) || depth > deepestInclude) return found;
  const take = (file: string) => {
    for (const [name, value] of readConfiguration(
      isAbsolute(file) ? file : join(dirname(path), file),
      depth + 1,
    ))
      found.set(name, value);
  };
  for (const [name, value] of entriesOf(readFileSync(path, 'utf8'))) {
    if (name === 'include' || name === 'include_if_exists') take(value);
    else if (name === 'include_dir') {
      const folder = isAbsolute(value) ? value : join(dirname(path), value);
      const files = existsSync(folder)
        ? readdirSync(folder).filter((file) => file.endsWith('.conf') && !file.startsWith('.'))
        : [];
      for (const file of files.sort()) take(join(folder, file));
    } else found.set(name, value);
  }
  return found;
}

/** Sets or removes (null) settings in an existing file of postgresql.auto.conf's kind; the old file stays until the new one is on disk. */
export function changeConfiguration(path: string, changes: Readonly<Record<string, string | null>>): void {
  const before = existsSync(path) ? readFileSync(path, 'utf8') : '';
  const kept = before.split('\n').filter((raw) => {
    const name = line.exec(raw)?.[1]?.toLowerCase();
    return raw !== '' && (name === undefined || !(name in changes));
  });
  const added = Object.entries(changes).flatMap(([name, value]) =>
    value === null ? [] : [`${name} = ${quote(value)}`],
  );
  replaceFile(path, `${[...kept, ...added].join('\n')}\n`);
}

function quote(value: string): string {
  return `'${value.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
}

/** Writes a file of the data directory whole and durable, owned like the directory. */
export function replaceFile(path: string, content: string | Uint8Array): void {
  const folder = dirname(path);
  const owner = statSync(folder);
  const temporary = `${path}.pgkeeper`;
  const file = openSync(temporary, 'w', 0o600);
  try {
    if (process.getuid?.() === 0) chownSync(temporary, owner.uid, owner.gid);
    if (typeof content === 'string') writeSync(file, content);
    else writeSync(file, content);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
  const directory = openSync(folder, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
