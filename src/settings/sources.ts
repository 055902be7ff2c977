/**
 * A setting as text together with where it came from, and the way from each source's own form to that. Nothing here
 * judges a value.
 */
import type { FileEntry } from '../process/configuration-file.js';
import { type Definition, definitionOf, definitions, environmentName, type SettingName } from './settings.js';

export type Source =
  | { readonly kind: 'default' }
  | { readonly kind: 'derived'; readonly from: string }
  | { readonly kind: 'file'; readonly path: string; readonly line: number }
  | { readonly kind: 'server'; readonly path: string; readonly line: number }
  | { readonly kind: 'session' }
  | { readonly kind: 'environment'; readonly variable: string }
  | { readonly kind: 'flag'; readonly flag: string };

export interface SettingEntry {
  readonly name: SettingName;
  readonly text: string;
  readonly source: Source;
}

export interface SourceContents {
  readonly entries: readonly SettingEntry[];
  /** Names nobody knows: most often typing errors. */
  readonly unknown: readonly string[];
}

export function describeSource(source: Source): string {
  switch (source.kind) {
    case 'default':
      return 'default';
    case 'derived':
      return source.from;
    case 'file':
    case 'server':
      return `${source.path} line ${source.line}`;
    case 'session':
      return 'set in the server';
    case 'environment':
      return source.variable;
    case 'flag':
      return source.flag;
  }
}

/** What the keeper itself keeps under the same prefix in the server's files. */
const ownMarks: ReadonlySet<string> = new Set(['fenced', 'asked_conninfo', 'asked_query']);

/** Lines `pg_keeper.x = 'v'` of a file. All else in it belongs to the server, but a bare name of ours is a slip. */
export function entriesOfFile(lines: readonly FileEntry[], kind: 'file' | 'server'): SourceContents {
  const entries: SettingEntry[] = [];
  const unknown: string[] = [];
  for (const { name, value, path, line } of lines) {
    const prefixed = name.startsWith('pg_keeper.');
    const definition = definitionOf(prefixed ? name.slice('pg_keeper.'.length) : name);
    if (prefixed && definition !== undefined)
      entries.push({ name: definition.name, text: value, source: { kind, path, line } });
    else if (prefixed && !ownMarks.has(name.slice('pg_keeper.'.length)))
      unknown.push(`${path} line ${line}: there is no setting ${name}${suggestion(name)}`);
    else if (kind === 'file' && isOnlyOurs(definition, name))
      unknown.push(`${path} line ${line}: write pg_keeper.${name} instead of ${name}`);
  }
  return { entries, unknown };
}

/** data_directory is PostgreSQL's own setting too, so a plain one says nothing of ours. */
function isOnlyOurs(definition: Definition | undefined, name: string): boolean {
  return definition !== undefined && name !== 'data_directory';
}

/** Nearest known name, when it is near. */
function suggestion(name: string): string {
  const bare = name.slice('pg_keeper.'.length);
  const near = definitions
    .map((definition) => ({ name: definition.name, distance: distance(bare, definition.name) }))
    .sort((a, b) => a.distance - b.distance)[0];
  return near !== undefined && near.distance <= 3 ? `; do you mean pg_keeper.${near.name}?` : '';
}

/** Levenshtein. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = (row[j - 1] ?? 0) + (a.charAt(i - 1) === b.charAt(j - 1) ? 0 : 1);
      next.push(Math.min(replace, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** PGKEEPER_KEEPALIVE_TIME and its kind. Other PGKEEPER_ variables belong to hooks and tests. */
export function entriesOfEnvironment(env: NodeJS.ProcessEnv): readonly SettingEntry[] {
  return definitions.flatMap(({ name, aliases }) =>
    [name, ...(aliases ?? [])].flatMap((spelling) => {
      const variable = environmentName(spelling);
      const text = env[variable];
      return text === undefined ? [] : [{ name, text, source: { kind: 'environment' as const, variable } }];
    }),
  );
}

/** Later layers win, and within a layer the later entry. */
export function mergeEntries(
  layers: readonly (readonly SettingEntry[])[],
): ReadonlyMap<SettingName, SettingEntry> {
  const merged = new Map<SettingName, SettingEntry>();
  for (const { name, fallback } of definitions) {
    if (fallback !== null) merged.set(name, { name, text: fallback, source: { kind: 'default' } });
  }
  for (const layer of layers) for (const entry of layer) merged.set(entry.name, entry);
  return merged;
}
