/** The documents against the code: reason codes, settings, the names of tests, links, what is shipped. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isWarning, type ReasonCode, reasons } from '../../src/core/reasons.js';
import { definitions } from '../../src/settings/settings.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const documents = ['README.md', 'CHANGELOG.md', 'docs/operations.md', 'docs/tasks.md', 'src/core/SPEC.md'];

function text(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

/** What stands between two marks of a document. */
function part(path: string, mark: string): string {
  const found = new RegExp(`<!-- ${mark} -->([\\s\\S]*)<!-- /${mark} -->`).exec(text(path))?.[1];
  assert.ok(found !== undefined, `${path} has no part "${mark}"`);
  return found;
}

/** Rows of a table as cells; a bar with a backslash before it belongs to its cell. */
function rowsOf(table: string): readonly (readonly string[])[] {
  return table
    .split('\n')
    .filter((line) => line.startsWith('|') && !line.startsWith('|---'))
    .slice(1)
    .map((line) =>
      line
        .split(/(?<!\\)\|/)
        .slice(1, -1)
        .map((cell) => cell.trim().replaceAll('\\|', '|')),
    );
}

test('operations.md explains every reason code, in the sentence that is logged', () => {
  const explained = rowsOf(part('docs/operations.md', 'reasons')).map(([code = '', warning, sentence]) => [
    code.replaceAll('`', ''),
    warning,
    sentence,
  ]);
  const known = (Object.keys(reasons) as ReasonCode[]).map((code) => [
    code,
    isWarning(code) ? 'W' : '',
    reasons[code],
  ]);
  assert.deepEqual(explained, known);
});

test('the README lists every setting with its default', () => {
  const settings = /\n\| setting \| default \| meaning \|\n[\s\S]*?\n\n/.exec(text('README.md'))?.[0] ?? '';
  const rows = rowsOf(settings);
  const listed = rows.flatMap(([names = '']) => names.split(', '));
  assert.deepEqual(
    [...listed].sort(),
    definitions.map(({ name }) => name).sort(),
    'every setting once, and nothing else',
  );
  for (const { name, fallback } of definitions.filter((definition) => definition.fallback)) {
    const shown = rows.find(([names = '']) => names.split(', ').includes(name))?.[1];
    assert.equal(shown, fallback, name);
  }
});

test('SPEC.md has a row of tests for every invariant, and every test it names exists', () => {
  const spec = text('src/core/SPEC.md');
  const invariants = [...spec.matchAll(/^- \*\*(I\d+)\*\*/gm)].map(([, name]) => name);
  const table = part('src/core/SPEC.md', 'tests');
  assert.deepEqual(
    rowsOf(table).flatMap(([name = '']) => (/^I\d+$/.test(name) ? [name] : [])),
    invariants,
  );
  const folder = join(root, 'test');
  const tests = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.includes('node_modules'))
    .map((name) => readFileSync(join(folder, name), 'utf8'))
    .join('\n');
  for (const [, name = ''] of table.matchAll(/"([^"]+)"/g))
    assert.ok(tests.includes(name), `no test is named "${name}"`);
});

/** As GitHub makes them of headings. */
function anchorsOf(markdown: string): readonly string[] {
  return [...markdown.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );
}

test('links within the documents lead somewhere', () => {
  for (const document of documents) {
    const links = [...text(document).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link);
    for (const link of links.filter((one) => !/^https?:/.test(one))) {
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? document : join(dirname(document), path);
      assert.ok(existsSync(join(root, target)), `${document}: ${link}`);
      if (anchor !== undefined)
        assert.ok(anchorsOf(text(target)).includes(anchor), `${document}: ${link} has no such heading`);
    }
  }
});

test('everything that package.json ships is there', () => {
  const { files } = JSON.parse(text('package.json')) as { readonly files: readonly string[] };
  for (const path of files.filter((one) => one !== 'dist')) assert.ok(existsSync(join(root, path)), path);
});

test('the unit for systemd and its environment are named where the README copies them from', () => {
  const readme = text('README.md');
  for (const [, path = ''] of readme.matchAll(/pgkeeper\/(deploy\/[\w.@-]+)/g))
    assert.ok(existsSync(join(root, path)), path);
  assert.match(readme, /deploy\/pgkeeper\.service/);
});
