/**
 * The grammar of postgresql.conf: `name = value` lines, quotes, comments, include directives. Used for the file given
 * with --config and, while a server is down, for the server's own files. Says what stands there; what it means is not here.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';

export interface FileEntry {
  /** Lower case. */
  readonly name: string;
  readonly value: string;
  readonly path: string;
  readonly line: number;
}

export interface FileContents {
  /** In the order in which they count: the last of one name wins. */
  readonly entries: readonly FileEntry[];
  readonly problems: readonly string[];
}

interface Line {
  readonly name: string;
  readonly value: string;
}

const linePattern =
  /^\s*([A-Za-z_][\w$]*(?:\.[A-Za-z_][\w$]*)*)\s*(?:=\s*|\s+|(?='))('(?:[^'\\]|''|\\.)*'|[^\s'#]+)\s*(?:#.*)?$/s;

const escapes: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };

function unquote(value: string): string {
  if (!value.startsWith("'")) return value;
  return value
    .slice(1, -1)
    .replace(/''|\\([0-7]{1,3})|\\(.)/gs, (_, octal: string | undefined, char: string | undefined) => {
      if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8));
      return char === undefined ? "'" : (escapes[char] ?? char);
    });
}

/** One line; null for an empty one, undefined for one that cannot be read. */
export function parseLine(line: string): Line | null | undefined {
  if (/^\s*(#.*)?$/s.test(line)) return null;
  const match = linePattern.exec(line);
  const [, name, value] = match ?? [];
  if (name === undefined || value === undefined) return undefined;
  return { name: name.toLowerCase(), value: unquote(value) };
}

/** As deep as PostgreSQL itself goes. */
const deepestInclude = 10;

/** Reads a file and all it includes. A file that cannot be read is a problem, not an exception. */
export function readConfigurationFile(path: string): FileContents {
  const entries: FileEntry[] = [];
  const problems: string[] = [];
  read(path, 0, false);
  return { entries, problems };

  function read(file: string, depth: number, mayBeMissing: boolean): void {
    if (depth > deepestInclude) {
      problems.push(`${file}: included too deep`);
      return;
    }
    let text: string;
    try {
      text = readFileSync(file, 'utf8');
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? String(error);
      if (!(mayBeMissing && code === 'ENOENT')) problems.push(`cannot read ${file}: ${reasonOf(code)}`);
      return;
    }
    for (const [index, raw] of text.split('\n').entries()) take(file, index + 1, raw, depth);
  }

  function take(file: string, line: number, raw: string, depth: number): void {
    const found = parseLine(raw.replace(/\r$/, ''));
    if (found === null) return;
    if (found === undefined) {
      problems.push(`${file} line ${line}: not of the form name = value`);
      return;
    }
    const target = isAbsolute(found.value) ? found.value : join(dirname(file), found.value);
    if (found.name === 'include') read(target, depth + 1, false);
    else if (found.name === 'include_if_exists') read(target, depth + 1, true);
    else if (found.name === 'include_dir') readFolder(target, depth);
    else entries.push({ ...found, path: file, line });
  }

  function readFolder(folder: string, depth: number): void {
    try {
      const names = readdirSync(folder).filter((name) => name.endsWith('.conf') && !name.startsWith('.'));
      for (const name of names.sort()) read(join(folder, name), depth + 1, false);
    } catch (error) {
      problems.push(
        `cannot read the folder ${folder}: ${reasonOf((error as NodeJS.ErrnoException).code ?? String(error))}`,
      );
    }
  }
}

function reasonOf(code: string): string {
  if (code === 'ENOENT') return 'it does not exist';
  if (code === 'EACCES') return 'permission denied';
  return code === 'EISDIR' ? 'it is a folder' : code;
}

/** The value that counts of one name. */
export function lastValue(entries: readonly FileEntry[], name: string): string | undefined {
  return entries.findLast((entry) => entry.name === name)?.value;
}
