// Reads scripts of the extension: the statements in them, and which object each one makes. Only as much SQL as the parts use.

/** Cuts a script into its statements; comments before a statement and psql's lines are left out. */
export function statementsOf(script) {
  const statements = [];
  const text = script.replaceAll(/^\\.*$/gm, '');
  let from = 0;
  let at = 0;
  while (at < text.length) {
    const rest = text.slice(at);
    const jump = /^(--[^\n]*\n?|'(?:[^']|'')*'|(\$\w*\$)[\s\S]*?\2|[^;'$-]+|[\s\S])/.exec(rest)[0];
    if (jump === ';') {
      statements.push(text.slice(from, at + 1));
      from = at + 1;
    }
    at += jump.length;
  }
  if (withoutComments(text.slice(from)) !== '') throw new Error(`no end: ${text.slice(from, from + 80)}`);
  return statements.map(withoutComments);
}

/** Without the comments that stand before it; those within it stay. */
function withoutComments(statement) {
  return statement.replace(/^(\s+|--[^\n]*(\n|$))+/, '');
}

/** What a function is known by: its name and the types of what goes in. Every parameter of ours has a name. */
function signatureOf(name, parameters) {
  const types = parameters
    .split(',')
    .map((one) => one.trim().replace(/ default .*$/, ''))
    .filter((one) => one !== '' && !one.startsWith('out '))
    .map((one) => one.replace(/^\S+ /, ''));
  return `${name}(${types.join(', ')})`;
}

const kinds = [
  [/^create schema (\w+);/, 'schema'],
  [/^create table (pgkeeper\.\w+) /, 'table'],
  [/^create (?:unique )?index (\w+) on (pgkeeper\.\w+)/, 'index'],
  [/^insert into (pgkeeper\.\w+)/, 'row'],
  [/^create view (pgkeeper\.\w+) as/, 'view'],
  [/^create trigger (\w+) [\s\S]*? on (pgkeeper\.\w+)/, 'trigger'],
  [/^comment on ((?:\w+) [\s\S]+?)\s+is\s/, 'comment'],
  [/^revoke [\s\S]+/, 'right'],
  [/^select pg_catalog\.pg_extension_config_dump\('([^']+)'/, 'dumped'],
];

/** {kind, name, table, text}; for a function also `shape`: what CREATE OR REPLACE cannot change. */
function objectOf(text) {
  const made = /^create function (pgkeeper\.\w+)\(([\s\S]*?)\)\s([\s\S]*?)\s*language /.exec(text);
  if (made !== null) {
    const [, name, parameters, returns] = made;
    const shape = `${parameters.replaceAll(/ default [^,]+/g, '')} ${returns}`.replaceAll(/\s+/g, ' ');
    return { kind: 'function', name: signatureOf(name, parameters), table: null, shape, text };
  }
  for (const [pattern, kind] of kinds) {
    const found = pattern.exec(text);
    if (found === null) continue;
    const [, name = text, table = null] = found;
    return { kind, name: table === null ? name : `${name} on ${table}`, table, text };
  }
  throw new Error(`a statement that the generator does not know: ${text.slice(0, 100)}`);
}

/** Objects of a script in the order in which they are made, by kind and name. */
export function objectsOf(script) {
  const objects = new Map();
  for (const text of statementsOf(script)) {
    const object = objectOf(text);
    const key = `${object.kind} ${object.name}`;
    if (objects.has(key)) throw new Error(`made twice: ${key}`);
    objects.set(key, object);
  }
  return objects;
}
