// Generates migrations/ from the parts of the extension, so that CREATE EXTENSION and `pgkeeper migrate` make the same objects.
//   node scripts/make-migrations.mjs           writes the file
//   node scripts/make-migrations.mjs --check   exits 1 if the committed file is not what would be written
// Nothing else may write into migrations/. Up = the parts in their order; Down = the same objects dropped one by one in the
// opposite order, never with CASCADE, so that whatever a user has built upon them stops the removal instead of vanishing.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path) => readFileSync(`${root}/${path}`, 'utf8');

/** node-pg-migrate cuts the file at the first line that looks like this, even inside a function's body. */
const marker = /^\s*--[\s-]*(?:up|down)\s+migration/im;

function parts() {
  const names = read('extension/sql/parts.list')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  return names.map((name) => {
    const sql = read(`extension/sql/${name}`);
    if (marker.test(sql)) {
      throw new Error(`extension/sql/${name} has a line that node-pg-migrate would take for its marker`);
    }
    return sql;
  });
}

/** The statements that undo one part, last made first. Indexes, sequences and constraints go with their table. */
function undo(sql) {
  const made = /^create (schema|table|function|view|trigger) (?:(pgkeeper\.\w+)(\([^)]*\))?|(\w+))/gm;
  const statements = [];
  for (const [, kind, qualified, parameters, name] of sql.matchAll(made)) {
    if (kind === 'trigger') {
      const table = new RegExp(`^create trigger ${name} [^;]*? on (pgkeeper\\.\\w+)`, 'm').exec(sql)?.[1];
      statements.push(`drop trigger ${name} on ${table};`);
    } else if (kind === 'function') {
      statements.push(`drop function ${qualified}${parameters.replaceAll(/ default [^,)]+/g, '')};`);
    } else {
      statements.push(`drop ${kind} ${qualified ?? name};`);
    }
  }
  return statements.reverse();
}

const version = /^default_version = '(.*)'$/m.exec(read('extension/pg_keeper.control'))?.[1];
const target = `migrations/0001_pg_keeper-${version}.sql`;
const all = parts();

const text = [
  '-- Generated from extension/sql by scripts/make-migrations.mjs; change the parts, not this file.',
  '',
  '-- Up Migration',
  '',
  'create extension if not exists dblink;',
  '',
  all.join('\n').replaceAll('@VERSION@', version),
  '-- Down Migration',
  '',
  ...all.toReversed().flatMap(undo),
  '',
].join('\n');

if (process.argv.includes('--check')) {
  let committed = '';
  try {
    committed = read(target);
  } catch {
    // a missing file differs
  }
  if (committed !== text) {
    console.error(`${target} is out of date: run node scripts/make-migrations.mjs`);
    process.exitCode = 1;
  }
} else {
  writeFileSync(`${root}/${target}`, text);
  console.log(`${target} written`);
}
