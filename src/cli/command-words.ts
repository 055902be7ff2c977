/**
 * The registry's functions speak to psql: their advice is SQL. To who runs a command the same advice is told as a command. All of
 * it passes here, so that the functions need not know who asks. Pure.
 */

type Said = (values: readonly string[], named: ReadonlyMap<string, string>) => readonly string[];

const none: Said = () => [];
const positional: Said = (values) => values;

/** Function -> what follows `pgkeeper COMMAND`. */
const commands: Readonly<Record<string, readonly [command: string, argumentsOf: Said]>> = {
  add_node: ['add-node', () => ['NAME', 'CONNINFO']],
  add_witness: ['add-witness', () => ['NAME', 'CONNINFO']],
  del_node: ['del-node', positional],
  del_witness: ['del-witness', positional],
  switchover: ['switchover', positional],
  failover: ['failover', positional],
  pause: ['pause', none],
  resume: ['resume', (_, named) => (named.get('master_is_down') === 'true' ? ['--master-is-down'] : [])],
  set_maintenance: [
    'maintenance',
    ([node = 'NODE', on], named) => [
      node,
      on === 'false' ? 'off' : 'on',
      ...(named.get('accept_no_candidate') === 'true' ? ['--accept-no-candidate'] : []),
    ],
  ],
  set_priority: ['priority', ([node = 'NODE', number = 'NUMBER']) => [node, number]],
};

const names = Object.keys(commands).join('|');
/** `SELECT pgkeeper.f('a', b => c)`, also without SELECT; the semicolon belongs to the statement. */
const calls = new RegExp(`(?:select )?\\bpgkeeper\\.(${names})\\(((?:'(?:[^']|'')*'|[^()'])*)\\);?`, 'gi');
const mentions = new RegExp(`\\bpgkeeper\\.(${names})\\b(?!\\()`, 'g');
/** `set_maintenance: ...`: which function refuses. */
const speaker = new RegExp(`^(${names}): `);
/** `add_node writes, and ...` */
const subject = new RegExp(`^(${names})(?= (?:writes|works)\\b)`);

/** Of what there is no command for, the command that shows it, or the word that the command takes. */
const phrases: readonly (readonly [RegExp, string])[] = [
  [/\bSELECT name FROM pgkeeper\.node_info shows\b/g, 'pgkeeper status shows'],
  [/\bpgkeeper\.requests shows what becomes of it/g, 'pgkeeper status shows it'],
  [/, as in pgkeeper\.(?:node|witness)_info\b/g, ', as pgkeeper status shows it'],
  [/\bNULL: the setting of that server counts/g, 'default: the setting of that server counts'],
];

const plain = /^[\w.:/@%+=,-]+$/;

/** As it is typed into a shell. */
function word(text: string): string {
  return plain.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** A quoted value of SQL without its quotes; quote_literal writes E'...' where there are backslashes. */
function unquoted(text: string): string {
  const [, escaped, inner] = /^(E?)'(.*)'$/is.exec(text.trim()) ?? [];
  if (inner === undefined) return text.trim();
  const value = inner.replaceAll("''", "'");
  return escaped === '' ? value : value.replaceAll('\\\\', '\\');
}

function commandOf(name: string, list: string): string {
  const [command, argumentsOf] = commands[name.toLowerCase()] ?? [name, none];
  const parts = (list.match(/(?:'(?:[^']|'')*'|[^,'])+/g) ?? []).filter((part) => part.trim() !== '');
  const named = new Map<string, string>();
  const values: string[] = [];
  for (const part of parts) {
    const [, key, value] = /^\s*(\w+)\s*=>\s*(.*)$/s.exec(part) ?? [];
    if (key !== undefined && value !== undefined) named.set(key, unquoted(value));
    else if (part.trim() !== '...') values.push(word(unquoted(part)));
  }
  return ['pgkeeper', command, ...argumentsOf(values, named)].join(' ');
}

/** A message, detail or hint of the registry's functions, for who runs `pgkeeper ...`. */
export function inCommandWords(text: string): string {
  const command = (name: string) => commands[name]?.[0] ?? name;
  const said = text
    .replace(speaker, (_, name: string) => `${command(name)}: `)
    .replace(subject, (_, name: string) => `pgkeeper ${command(name)}`)
    .replace(calls, (_, name: string, list: string) => commandOf(name, list))
    .replace(mentions, (_, name: string) => `pgkeeper ${command(name)}`);
  return phrases.reduce((so, [sql, instead]) => so.replace(sql, instead), said);
}
