/**
 * libpq connection strings, both forms: `host=h port=5432` and `postgresql://user@h:5432/db?x=y`. Grammar only: no
 * defaults, no files, no environment. The one place where a conninfo is masked before it becomes text.
 */
import { remembering } from './recent.js';

/** Keywords libpq knows up to PostgreSQL 18. */
const keywords: ReadonlySet<string> = new Set(
  `application_name channel_binding client_encoding connect_timeout dbname fallback_application_name gssdelegation gssencmode
  gsslib host hostaddr keepalives keepalives_count keepalives_idle keepalives_interval krbsrvname load_balance_hosts
  max_protocol_version min_protocol_version oauth_client_id oauth_client_secret oauth_issuer oauth_scope options passfile
  password port replication require_auth requirepeer requiressl scram_client_key scram_server_key service servicefile
  ssl_max_protocol_version ssl_min_protocol_version sslcert sslcertmode sslcompression sslcrl sslcrldir sslkey sslkeylogfile
  sslmode sslnegotiation sslpassword sslrootcert sslsni target_session_attrs tcp_user_timeout user`.split(
    /\s+/,
  ),
);

export const secretKeywords: readonly string[] = [
  'password',
  'sslpassword',
  'oauth_client_secret',
  'scram_client_key',
  'scram_server_key',
];

export type ParsedConninfo =
  | { readonly kind: 'parsed'; readonly keywords: ReadonlyMap<string, string> }
  | { readonly kind: 'problem'; readonly message: string };

function problem(message: string): ParsedConninfo {
  return { kind: 'problem', message };
}

export function isUri(conninfo: string): boolean {
  return /^postgres(ql)?:\/\//.test(conninfo);
}

export const parseConninfo = remembering(parse);

function parse(conninfo: string): ParsedConninfo {
  const parsed = isUri(conninfo) ? parseUri(conninfo) : parseKeyValue(conninfo);
  if (parsed.kind === 'problem') return parsed;
  for (const keyword of parsed.keywords.keys()) {
    if (!keywords.has(keyword)) return problem(`invalid connection option "${keyword}"`);
  }
  return parsed;
}

const space = /\s/;

/** libpq's own little grammar: bare or single-quoted values, backslash escapes in both, the last duplicate wins. */
function parseKeyValue(text: string): ParsedConninfo {
  const found = new Map<string, string>();
  let i = 0;
  const skip = () => {
    while (i < text.length && space.test(text.charAt(i))) i++;
  };
  for (skip(); i < text.length; skip()) {
    const start = i;
    while (i < text.length && text.charAt(i) !== '=' && !space.test(text.charAt(i))) i++;
    const keyword = text.slice(start, i);
    skip();
    if (text.charAt(i) !== '=') return problem(`missing "=" after "${keyword}" in connection info string`);
    i++;
    skip();
    const value = text.charAt(i) === "'" ? readQuoted(text, i + 1) : readBare(text, i);
    if (value === null) return problem('unterminated quoted string in connection info string');
    found.set(keyword, value.value);
    i = value.end;
  }
  return { kind: 'parsed', keywords: found };
}

interface Read {
  readonly value: string;
  readonly end: number;
}

function readBare(text: string, from: number): Read {
  let value = '';
  let i = from;
  while (i < text.length && !space.test(text.charAt(i))) {
    if (text.charAt(i) === '\\') i++;
    if (i < text.length) value += text.charAt(i++);
  }
  return { value, end: i };
}

function readQuoted(text: string, from: number): Read | null {
  let value = '';
  for (let i = from; i < text.length; i++) {
    if (text.charAt(i) === "'") return { value, end: i + 1 };
    if (text.charAt(i) === '\\') i++;
    value += text.charAt(i);
  }
  return null;
}

function decode(text: string): string | null {
  if (/%(?![0-9A-Fa-f]{2})|%00/.test(text)) return null;
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

/** postgresql://[user[:password]@][host[:port][,...]][/dbname][?keyword=value&...] */
function parseUri(uri: string): ParsedConninfo {
  const match =
    /^postgres(?:ql)?:\/\/(?:([^:@/?]*)(?::([^@/?]*))?@)?([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/s.exec(uri);
  if (match === null) return problem('invalid connection URI');
  const [, user, password, hosts, dbname, query] = match;
  const found = new Map<string, string>();
  const put = (keyword: string, raw: string | undefined): boolean => {
    if (raw === undefined || raw === '') return true;
    const value = decode(raw);
    if (value === null) return false;
    found.set(keyword, value);
    return true;
  };
  if (!put('user', user) || !put('password', password) || !put('dbname', dbname))
    return problem('invalid percent-encoded token in URI');
  const list = hostsOf(hosts ?? '');
  if (list === null || !put('host', list.hosts) || !put('port', list.ports))
    return problem('invalid host in connection URI');
  for (const pair of query === undefined || query === '' ? [] : query.split('&')) {
    const at = pair.indexOf('=');
    if (at < 0) return problem(`missing key/value separator "=" in URI query parameter: "${pair}"`);
    const keyword = decode(pair.slice(0, at));
    if (
      keyword === null ||
      !put(keyword === 'ssl' ? 'sslmode' : keyword, keyword === 'ssl' ? 'require' : pair.slice(at + 1))
    ) {
      return problem('invalid percent-encoded token in URI');
    }
  }
  return { kind: 'parsed', keywords: found };
}

function hostsOf(text: string): { readonly hosts: string; readonly ports: string } | null {
  if (text === '') return { hosts: '', ports: '' };
  const hosts: string[] = [];
  const ports: string[] = [];
  for (const part of text.split(',')) {
    const match = /^(?:\[([^\]]+)\]|([^:]*))(?::(\d*))?$/.exec(part);
    if (match === null) return null;
    hosts.push(match[1] ?? match[2] ?? '');
    ports.push(match[3] ?? '');
  }
  return { hosts: hosts.join(','), ports: ports.every((port) => port === '') ? '' : ports.join(',') };
}

function quote(value: string): string {
  return /^[\w./:@,+-]+$/.test(value) ? value : `'${value.replace(/[\\']/g, '\\$&')}'`;
}

/** Key/value form, quoted where libpq needs it. */
export function formatConninfo(found: ReadonlyMap<string, string>): string {
  return [...found].map(([keyword, value]) => `${keyword}=${quote(value)}`).join(' ');
}

/** The same conninfo with some keywords set, or dropped where the value is null. A string that does not parse is left alone. */
export function withKeywords(conninfo: string, changes: Readonly<Record<string, string | null>>): string {
  const parsed = parseConninfo(conninfo);
  if (parsed.kind === 'problem') return conninfo;
  const found = new Map(parsed.keywords);
  for (const [keyword, value] of Object.entries(changes)) {
    if (value === null) found.delete(keyword);
    else found.set(keyword, value);
  }
  return formatConninfo(found);
}

/** What a conninfo says for a keyword; undefined where it says nothing, or does not parse. */
export function keywordOf(conninfo: string, keyword: string): string | undefined {
  const parsed = parseConninfo(conninfo);
  return parsed.kind === 'parsed' ? parsed.keywords.get(keyword) : undefined;
}

/** HOST:PORT as the conninfo has them, for messages. */
export function placeOf(conninfo: string): string {
  const parsed = parseConninfo(conninfo);
  if (parsed.kind === 'problem') return '?';
  const { keywords } = parsed;
  return `${keywords.get('hostaddr') || keywords.get('host') || '?'}:${keywords.get('port') || '?'}`;
}

/** Replaces every secret in a text that may hold conninfo of either form, quoted or not. Meant for messages and logs. */
export function maskConninfo(text: string): string {
  const names = secretKeywords.join('|');
  return text
    .replace(
      new RegExp(`\\b(${names})(\\s*=\\s*)('(?:[^'\\\\]|\\\\.)*'?|(?:[^\\s\\\\&]|\\\\.)+)`, 'gi'),
      '$1$2***',
    )
    .replace(/(postgres(?:ql)?:\/\/[^:@/?\s]*:)[^@/?\s]*(@)/g, '$1***$2');
}
