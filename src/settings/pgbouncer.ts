/** The setting `pgbouncer`: a list of admin consoles as text, taken apart and judged. Pure; nobody is connected to. */
import { maskConninfo, parseConninfo, placeOf, withKeywords } from '../core/conninfo.js';

/** The database by which PgBouncer knows its admin console. */
const consoleName = 'pgbouncer';

export type ParsedConsoles =
  | { readonly kind: 'consoles'; readonly conninfos: readonly string[] }
  /** Repeats no value: it may be a password. */
  | { readonly kind: 'problem'; readonly message: string };

/** '' = none. Each conninfo comes back with its dbname. */
export function parseConsoles(text: string): ParsedConsoles {
  const conninfos: string[] = [];
  const entries = splitConsoles(text);
  for (const [place, entry] of entries.entries()) {
    const message = consoleProblem(entry);
    if (message !== null)
      return { kind: 'problem', message: entries.length === 1 ? message : `number ${place + 1}: ${message}` };
    conninfos.push(withKeywords(entry, { dbname: consoleName }));
  }
  const places = conninfos.map(placeOf);
  const twice = places.find((place, number) => places.indexOf(place) !== number);
  return twice === undefined
    ? { kind: 'consoles', conninfos }
    : { kind: 'problem', message: `${twice} is named twice` };
}

/** At `;` and line ends, but not within quotes, where a password may hold them. */
function splitConsoles(text: string): readonly string[] {
  const found = text.match(/(?:\\.|'(?:\\.|[^'\\])*(?:'|$)|[^;\n\\'])+/gs) ?? [];
  return found.map((entry) => entry.trim()).filter((entry) => entry !== '');
}

function consoleProblem(conninfo: string): string | null {
  const parsed = parseConninfo(conninfo);
  if (parsed.kind === 'problem')
    return `${parsed.message.replace(/"[^"]+"/g, (word) => (word === '"="' ? word : '"***"'))}; write it as in 'host=10.0.0.5 port=6432 user=pgkeeper'`;
  const { keywords } = parsed;
  // libpq's defaults, and PGHOST, lead to PostgreSQL and not to PgBouncer.
  const missing = ['host', 'port', 'user'].filter((keyword) => !keywords.get(keyword));
  if (missing.includes('host') && keywords.get('hostaddr')) missing.splice(missing.indexOf('host'), 1);
  if (missing.length > 0) return `${missing.join(', ')} missing; each PgBouncer needs host, port and user`;
  if (`${keywords.get('host') ?? ''}${keywords.get('port') ?? ''}`.includes(','))
    return 'one host and one port each; several PgBouncers are separated by ;';
  const dbname = keywords.get('dbname') ?? consoleName;
  return dbname === consoleName ? null : `the admin console is dbname=pgbouncer, not dbname=${dbname}`;
}

/** The setting as it may be shown. */
export function maskConsoles(text: string): string {
  return splitConsoles(text).map(maskConninfo).join('; ');
}
