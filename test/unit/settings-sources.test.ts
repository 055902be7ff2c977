/** Where a setting may come from, and which source wins. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { lastValue, parseLine, readConfigurationFile } from '../../src/process/configuration-file.js';
import { localConninfo, readDataDirectory } from '../../src/settings/data-directory.js';
import { loadSettings } from '../../src/settings/load.js';
import { definitions, environmentName, flagName } from '../../src/settings/settings.js';
import {
  describeSource,
  entriesOfEnvironment,
  entriesOfFile,
  mergeEntries,
} from '../../src/settings/sources.js';

const folder = mkdtempSync(join(tmpdir(), 'pgkeeper-settings-'));
after(() => rmSync(folder, { recursive: true, force: true }));

function write(path: string, text: string): string {
  const full = join(folder, path);
  mkdirSync(join(full, '..'), { recursive: true });
  writeFileSync(full, text);
  return full;
}

test('lines are read as PostgreSQL reads them', () => {
  const value = (line: string) => parseLine(line)?.value;
  assert.deepEqual(parseLine("pg_keeper.Node_Name = 'n1'  # name"), {
    name: 'pg_keeper.node_name',
    value: 'n1',
  });
  assert.equal(value('port 5433'), '5433');
  assert.equal(value('port=5433'), '5433');
  assert.equal(value("a.b'quoted'"), 'quoted');
  assert.equal(value("a = 'it''s'"), "it's");
  assert.equal(value("a = 'it\\'s \\\\ \\101\\n'"), "it's \\ A\n");
  assert.equal(value("a = 'x # y'"), 'x # y');
  assert.equal(parseLine('   # comment'), null);
  assert.equal(parseLine(''), null);
  assert.equal(parseLine("a = 'open"), undefined);
  assert.equal(parseLine('a = b c'), undefined);
});

test('includes are followed, folders in the order of their names, and the last value wins', () => {
  const main = write(
    'inc/main.conf',
    "a = 1\ninclude 'more.conf'\ninclude_dir 'd'\ninclude_if_exists 'absent.conf'\n",
  );
  write('inc/more.conf', 'a = 2\nb = 1\n');
  write('inc/d/20.conf', 'a = 4\n');
  write('inc/d/10.conf', 'a = 3\n');
  write('inc/d/.hidden.conf', 'a = 9\n');
  write('inc/d/readme.txt', 'a = 9\n');
  const { entries, problems } = readConfigurationFile(main);
  assert.deepEqual(problems, []);
  assert.equal(lastValue(entries, 'a'), '4');
  assert.equal(lastValue(entries, 'b'), '1');
});

test('a missing file, a broken line and a loop of includes are problems with their place', () => {
  const main = write('loop.conf', "include 'loop.conf'\n???\ninclude 'absent.conf'\n");
  const { problems } = readConfigurationFile(main);
  assert.ok(problems.some((problem) => /included too deep/.test(problem)));
  assert.ok(problems.some((problem) => /loop\.conf line 2: not of the form/.test(problem)));
  assert.ok(problems.some((problem) => /absent\.conf: it does not exist/.test(problem)));
});

test("the original's spelling means the same setting", () => {
  const path = write('old.conf', 'pg_keeper.keepalives_time = 2\npg_keeper.keepalives_count = 4\n');
  const { entries, unknown } = entriesOfFile(readConfigurationFile(path).entries, 'file');
  assert.deepEqual(unknown, []);
  assert.deepEqual(
    entries.map(({ name, text }) => [name, text]),
    [
      ['keepalive_time', '2'],
      ['keepalive_count', '4'],
    ],
  );
});

test('unknown names are told with the nearest known one; the keeper’s own marks are not', () => {
  const path = write(
    'typo.conf',
    'pg_keeper.keepalive_tme = 1\npg_keeper.fenced = on\nkeepalive_count = 3\nport = 1\n',
  );
  const { entries } = readConfigurationFile(path);
  const asFile = entriesOfFile(entries, 'file').unknown;
  assert.match(asFile[0] ?? '', /line 1.*keepalive_tme.*do you mean pg_keeper\.keepalive_time\?/);
  assert.match(asFile[1] ?? '', /line 3: write pg_keeper\.keepalive_count instead/);
  assert.equal(asFile.length, 2);
  assert.equal(
    entriesOfFile(entries, 'server').unknown.length,
    1,
    "the server's own settings are none of ours",
  );
});

test('later places win, and each value knows its place', () => {
  const merged = mergeEntries([
    [{ name: 'priority', text: '1', source: { kind: 'file', path: 'f', line: 3 } }],
    entriesOfEnvironment({ PGKEEPER_PRIORITY: '2', PGKEEPER_EVENT: 'x' }),
    [{ name: 'quorum', text: 'strict', source: { kind: 'flag', flag: '--quorum' } }],
  ]);
  assert.equal(merged.get('priority')?.text, '2');
  const sourceOf = (name: 'priority' | 'quorum' | 'log_level') => {
    const entry = merged.get(name);
    return entry === undefined ? null : describeSource(entry.source);
  };
  assert.equal(sourceOf('priority'), 'PGKEEPER_PRIORITY');
  assert.equal(sourceOf('quorum'), '--quorum');
  assert.equal(sourceOf('log_level'), 'default');
});

test('every setting has one name in each place, and no two share one', () => {
  const names = definitions.flatMap(({ name, aliases }) => [name, ...(aliases ?? [])]);
  assert.equal(new Set(names).size, names.length);
  assert.equal(environmentName('keepalive_time'), 'PGKEEPER_KEEPALIVE_TIME');
  assert.equal(flagName('keepalive_time'), 'keepalive-time');
  assert.ok(definitions.every(({ meaning }) => meaning.length > 10));
});

function dataDirectory(name: string, conf: string, auto = ''): string {
  write(`${name}/PG_VERSION`, '15\n');
  write(`${name}/postgresql.conf`, conf);
  write(`${name}/postgresql.auto.conf`, auto);
  return join(folder, name);
}

test('a data directory tells the socket and port its server will have', () => {
  const path = dataDirectory('plain', "port = 5544\nunix_socket_directories = '/run/a, /run/b'\n");
  const directory = readDataDirectory(path);
  assert.ok(typeof directory !== 'string');
  assert.equal(localConninfo(directory), 'host=/run/a port=5544');
});

test('without sockets the loopback is used, and a running server counts more than its files', () => {
  const path = dataDirectory('running', "port = 5544\nunix_socket_directories = ''\n");
  const down = readDataDirectory(path);
  assert.ok(typeof down !== 'string');
  assert.equal(localConninfo(down), 'host=localhost port=5544');
  write('running/postmaster.pid', '123\n/data\n1700000000\n6001\n/tmp/sock\n*\n');
  assert.equal(localConninfo(down), 'host=/tmp/sock port=6001');
});

test("Debian's configuration folder leads to the data directory, and the data directory to the configuration", () => {
  const data = join(folder, 'debian-data');
  const conf = write('debian-etc/postgresql.conf', `data_directory = '${data}'\nport = 5999\n`);
  write('debian-data/PG_VERSION', '15\n');
  write(
    'debian-data/postmaster.opts',
    `/usr/lib/postgresql/15/bin/postgres "-D" "${data}" "-c" "config_file=${conf}"\n`,
  );
  for (const given of [data, join(folder, 'debian-etc')]) {
    const directory = readDataDirectory(given);
    assert.ok(typeof directory !== 'string', String(directory));
    assert.equal(directory.path, data);
    assert.equal(lastValue(directory.contents.entries, 'port'), '5999');
  }
});

test('a folder that is no data directory is named', () => {
  assert.match(String(readDataDirectory(join(folder, 'nowhere'))), /nowhere is not a data directory/);
});

test('while the server is down its files are read, and flags still win', async () => {
  const path = dataDirectory(
    'down',
    `port = 1\nunix_socket_directories = '${folder}'\npg_keeper.node_name = 'n7'\npg_keeper.priority = 5\n`,
    "pg_keeper.priority = '6'\n",
  );
  const loaded = await loadSettings({
    configFile: null,
    env: { PGDATA: path },
    flags: [{ name: 'keepalive_time', text: '1s', source: { kind: 'flag', flag: '--keepalive-time' } }],
    deadlineMs: 500,
  });
  assert.deepEqual(loaded.problems, []);
  assert.equal(loaded.server.kind, 'files');
  assert.equal(loaded.settings?.nodeName, 'n7');
  assert.equal(loaded.settings?.priority, 6, 'postgresql.auto.conf counts last');
  assert.equal(loaded.settings?.keepaliveTimeMs, 1000);
  assert.equal(loaded.settings?.dataDirectory, path);
  assert.equal(loaded.ownConninfo, `host=${folder} port=1`);
});

test('without a server and a data directory nothing but the given values is known', async () => {
  const loaded = await loadSettings({
    configFile: null,
    env: {},
    flags: [{ name: 'conninfo', text: `host=${folder} port=2`, source: { kind: 'flag', flag: '-h' } }],
    deadlineMs: 500,
  });
  assert.equal(loaded.server.kind, 'none');
  assert.equal(loaded.settings, null);
  assert.equal(loaded.dataDirectory, null);
});
