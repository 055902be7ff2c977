/**
 * The grammar of synchronous_standby_names (PostgreSQL 14 to 18): a plain list, `N (a, b)`, `FIRST N (a, b)`,
 * `ANY N (a, b)`, quoted names, `*`. Plain lists and `N (...)` mean FIRST.
 */

export interface StandbyNames {
  readonly method: 'priority' | 'quorum';
  /** Acknowledgements asked for; 0 only for an empty value. */
  readonly needed: number;
  readonly names: readonly string[];
}

export type ParsedStandbyNames =
  | { readonly kind: 'parsed'; readonly value: StandbyNames }
  | { readonly kind: 'problem'; readonly message: string };

interface Token {
  readonly kind: 'name' | 'quoted' | 'number' | 'symbol';
  readonly text: string;
}

function tokensOf(text: string): readonly Token[] | string {
  const pattern = /\s*(?:"((?:[^"]|"")*)"|([A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*)|(\d+)|([(),*]))/uy;
  const tokens: Token[] = [];
  while (pattern.lastIndex < text.trimEnd().length) {
    const at = pattern.lastIndex;
    const match = pattern.exec(text);
    if (match === null) return `syntax error at "${text.slice(at).trim()}"`;
    const [, quoted, name, number, symbol] = match;
    if (quoted !== undefined) tokens.push({ kind: 'quoted', text: quoted.replaceAll('""', '"') });
    else if (name !== undefined) tokens.push({ kind: 'name', text: name });
    else if (number !== undefined) tokens.push({ kind: 'number', text: number });
    else tokens.push({ kind: 'symbol', text: symbol ?? '' });
  }
  return tokens;
}

export function parseStandbyNames(text: string): ParsedStandbyNames {
  const tokens = tokensOf(text);
  if (typeof tokens === 'string') return { kind: 'problem', message: tokens };
  if (tokens.length === 0) return { kind: 'parsed', value: { method: 'priority', needed: 0, names: [] } };
  let at = 0;
  let method: StandbyNames['method'] = 'priority';
  const word = tokens[0]?.kind === 'name' && tokens[1]?.kind === 'number' ? tokens[0].text.toLowerCase() : '';
  if (word === 'first' || word === 'any') {
    method = word === 'any' ? 'quorum' : 'priority';
    at = 1;
  }
  const counted = tokens[at]?.kind === 'number' && tokens[at + 1]?.text === '(';
  const needed = counted ? Number(tokens[at]?.text) : 1;
  if (counted) at += 2;
  const names: string[] = [];
  for (;;) {
    const token = tokens[at++];
    // A bare number is a name too, as in "1, 2".
    if (token === undefined || (token.kind === 'symbol' && token.text !== '*')) {
      return {
        kind: 'problem',
        message: `a standby name is missing${token === undefined ? ' at the end' : ` before "${token.text}"`}`,
      };
    }
    names.push(token.text);
    const next = tokens[at];
    if (next?.kind === 'symbol' && next.text === ',') at++;
    else break;
  }
  if (counted && tokens[at++]?.text !== ')') return { kind: 'problem', message: '")" is missing' };
  if (at < tokens.length) return { kind: 'problem', message: `syntax error at "${tokens[at]?.text ?? ''}"` };
  if (needed < 1)
    return {
      kind: 'problem',
      message: `number of synchronous standbys (${needed}) must be greater than zero`,
    };
  return { kind: 'parsed', value: { method, needed, names } };
}

/** Always quoted unless plainly safe: names such as "first" or "Any" would change their meaning. */
function quoteName(name: string): string {
  const plain = /^[a-z_][a-z0-9_]*$/.test(name) && name !== 'first' && name !== 'any';
  return plain || name === '*' ? name : `"${name.replaceAll('"', '""')}"`;
}

/** FIRST and ANY spelled out. An empty list gives the empty value. */
export function formatStandbyNames(value: StandbyNames): string {
  if (value.names.length === 0 || value.needed === 0) return '';
  return `${value.method === 'quorum' ? 'ANY' : 'FIRST'} ${value.needed} (${value.names.map(quoteName).join(', ')})`;
}

/** As PostgreSQL's pg_strcasecmp: ASCII letters without regard to case, other bytes exactly. */
export function isSameName(a: string, b: string): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (folded(a.charCodeAt(i)) !== folded(b.charCodeAt(i))) return false;
  return true;
}

/** A to Z as a to z. */
function folded(code: number): number {
  return code >= 65 && code <= 90 ? code + 32 : code;
}
