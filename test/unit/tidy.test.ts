/** The rules that carry the architecture: sizes, names, who may import whom, what the core may not call. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../', import.meta.url));

interface SourceFile {
  readonly path: string;
  readonly text: string;
  /** Files of this project that it imports, types left out when `import type`. */
  readonly imports: readonly { readonly path: string; readonly typeOnly: boolean }[];
}

function filesUnder(folder: string): readonly SourceFile[] {
  const names = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' });
  return names
    .filter((name) => name.endsWith('.ts') && !name.includes('node_modules'))
    .map((name) => {
      const path = `${folder}/${name}`;
      const text = readFileSync(join(root, path), 'utf8');
      const imports = [...text.matchAll(/^(?:import|export)\s+(type\s)?[^;]*?from '(\.[^']+)'/gms)].map(
        (found) => ({
          path: normalize(join(dirname(path), found[2] ?? '')).replace(/\.js$/, '.ts'),
          typeOnly: found[1] !== undefined,
        }),
      );
      return { path, text, imports };
    });
}

const source = filesUnder('src');
const tests = filesUnder('test');

test('no file is longer than 300 lines, no test file longer than 350', () => {
  const longerThan = (files: readonly SourceFile[], lines: number) =>
    files.filter(({ text }) => text.split('\n').length > lines + 1).map(({ path }) => path);
  assert.deepEqual([...longerThan(source, 300), ...longerThan(tests, 350)], []);
});

test('files are named in kebab-case and begin by saying what lives there', () => {
  for (const { path, text } of [...source, ...tests]) {
    assert.match(path.split('/').at(-1) ?? '', /^[a-z0-9]+(-[a-z0-9]+)*(\.test)?\.ts$/, path);
    assert.match(text, /^(#!.*\n)?\/\*\*/, `${path} has no head comment`);
  }
});

/** Folder of src -> folders it may import from; '.' stands for the files right in src. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  core: ['core'],
  '.': ['.', 'core'],
  settings: ['settings', 'core', 'postgres', 'process', '.'],
  postgres: ['postgres', 'core', '.'],
  process: ['process', 'postgres', 'core', '.'],
  worker: ['worker', 'core', '.'],
  testbed: ['testbed', 'process', 'postgres', 'core', '.'],
  cli: ['cli', 'testbed', 'worker', 'process', 'postgres', 'settings', 'core', '.'],
};

function folderOf(path: string): string {
  const [, folder = '', rest] = path.split('/');
  return rest === undefined ? '.' : folder;
}

test('imports go in one direction only', () => {
  for (const { path, imports } of source) {
    const allowed = mayImport[folderOf(path)];
    assert.ok(allowed !== undefined, `${path}: a folder nobody planned`);
    for (const imported of imports)
      assert.ok(allowed.includes(folderOf(imported.path)), `${path} imports ${imported.path}`);
  }
});

test('no two files need each other to run', () => {
  const edges = new Map(
    source.map(({ path, imports }) => [
      path,
      imports.filter(({ typeOnly }) => !typeOnly).map((found) => found.path),
    ]),
  );
  const done = new Set<string>();
  const walk = (path: string, trail: readonly string[]): void => {
    assert.ok(!trail.includes(path), `cycle: ${[...trail.slice(trail.indexOf(path)), path].join(' -> ')}`);
    if (done.has(path)) return;
    for (const next of edges.get(path) ?? []) walk(next, [...trail, path]);
    done.add(path);
  };
  for (const path of edges.keys()) walk(path, []);
});

test('the core has no clock, no timer, no randomness, no I/O', () => {
  const banned =
    /\b(Date\.now|new Date|performance\.|setTimeout|setInterval|setImmediate|Math\.random|process\.|console\.|await |\basync [(f]|Promise\b|from 'node:|from 'pg')/;
  for (const { path, text } of source.filter((file) => folderOf(file.path) === 'core')) {
    const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
    assert.doesNotMatch(code, banned, path);
  }
});

test('nothing silences the compiler', () => {
  for (const { path, text } of [...source, ...tests])
    assert.doesNotMatch(text, /\/\/ *@ts-\w|biome-ignore lint\/suspicious/, path);
});
