/**
 * The registry of the last release becomes the present one, by ALTER EXTENSION UPDATE and by migration: the same objects as made fresh, rows
 * and rights kept, nothing locked that a worker or a standby needs.
 */
import assert from 'node:assert/strict';
import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { migrateDown, migrateUp } from '../../src/postgres/migrations.js';
import { makeTestFolder } from '../../src/testbed/cluster.js';
import { findPostgres } from '../../src/testbed/find-postgres.js';
import { freePort } from '../../src/testbed/free-port.js';
import { grantsFor } from '../../src/testbed/grants.js';
import { TestServer } from '../../src/testbed/server.js';
import { catalogOf, objectsIn } from '../support/catalog.js';
import { installExtension, packageFolder } from '../support/extension-files.js';
import { skipLoudly } from '../support/skip.js';

const installation = findPostgres(process.env['PGKEEPER_TEST_BIN'] ?? null);
const folder = makeTestFolder();
const extension = installExtension(installation, folder);
const host = '127.0.0.1';
const role = 'keeper';
let server: TestServer;

/** The rights that deploy/grants.sql of 0.1.0 gave on the registry. */
const formerGrants = `grant usage on schema pgkeeper to ${role};
  grant select, insert, update, delete on pgkeeper.node_info, pgkeeper.events, pgkeeper.node_state to ${role};
  grant select, update on pgkeeper.cluster_state to ${role};
  grant select on pgkeeper.status to ${role};
  grant usage, select, update on all sequences in schema pgkeeper to ${role};
  grant execute on all functions in schema pgkeeper to ${role}`;

const rows = `insert into pgkeeper.node_info (name, conninfo, is_master) values ('n1', 'host=a', true), ('gone', 'host=b', false), ('n2', 'host=c', false);
  delete from pgkeeper.node_info where name = 'gone';
  insert into pgkeeper.events (epoch, node, code, sentence) values (0, 'n1', 'kept', 'an old event')`;

const state = `select jsonb_build_object('nodes', (select jsonb_agg(n order by n.seqno) from pgkeeper.node_info n),
  'events', (select jsonb_agg(e order by e.id) from pgkeeper.events e),
  'state', (select to_jsonb(c) from pgkeeper.cluster_state c)) as state`;

const connection = (database: string) => ({ host, port: server.port, user: 'postgres', database });
const sql = <Row extends Record<string, unknown>>(database: string, text: string, user = 'postgres') =>
  server.query<Row>(text, [], user, database);

async function newDatabase(name: string): Promise<string> {
  await server.query(`create database ${name} template template0`);
  return name;
}

/** The first migration alone, as the last release had it. */
function formerMigrations(): string {
  const former = join(folder, 'former-migrations');
  mkdirSync(former, { recursive: true });
  const name = '0001_pg_keeper-0.1.0.sql';
  cpSync(join(packageFolder, 'migrations', name), join(former, name));
  return former;
}

async function migrateToFormer(database: string): Promise<void> {
  const outcome = await migrateUp({ connection: connection(database), folder: formerMigrations() });
  assert.equal(outcome.kind, 'done', JSON.stringify(outcome));
}

function needsExtension(context: TestContext): boolean {
  if (extension.kind === 'ready') return true;
  skipLoudly(context, extension.why);
  return false;
}

/** Half of the newest migration. */
function newestMigration(): { readonly up: string; readonly down: string } {
  const newest = readdirSync(join(packageFolder, 'migrations')).sort().at(-1) ?? '';
  const text = readFileSync(join(packageFolder, 'migrations', newest), 'utf8');
  const [up = '', down = ''] = text.split('-- Down Migration');
  return { up, down };
}

before(async () => {
  const ready = extension.kind === 'ready' ? extension : { installation, settings: {} };
  server = new TestServer({ name: 'upgrade', folder, port: await freePort(host), host, ...ready });
  await server.initialise();
  await server.start();
  if (extension.kind === 'ready') {
    const released = join(packageFolder, 'extension', 'released');
    for (const file of readdirSync(released))
      copyFileSync(join(released, file), join(extension.scripts, file));
  }
  const superuser = installation.major < 15 ? 'superuser' : '';
  await sql('postgres', `create role ${role} login ${superuser}; create role monitor login`);
});

after(async () => {
  await server.remove();
  rmSync(folder, { recursive: true, force: true });
});

describe('a registry of version 0.1.0', { concurrency: false }, () => {
  test('is what the first migration makes', async (context) => {
    if (!needsExtension(context)) return;
    await newDatabase('former_extension');
    await newDatabase('former_migration');
    await sql('former_extension', `create extension pg_keeper version '0.1.0' cascade`);
    await migrateToFormer('former_migration');
    const former = await catalogOf(server, 'former_migration');
    assert.deepEqual(former, await catalogOf(server, 'former_extension'));
    assert.ok(!former.some(({ name }) => name === 'witness_info'), 'it is the old one');
  });

  test('upgraded by ALTER EXTENSION UPDATE it is what CREATE EXTENSION makes, with its rows', async (context) => {
    if (!needsExtension(context)) return;
    await newDatabase('fresh');
    await sql('fresh', 'create extension pg_keeper cascade');
    await sql('former_extension', rows);
    const earlier = await sql('former_extension', state);
    await sql('former_extension', 'alter extension pg_keeper update');
    assert.deepEqual(await catalogOf(server, 'former_extension'), await catalogOf(server, 'fresh'));
    assert.deepEqual(await sql('former_extension', state), earlier);
    const dumped = `select array_agg(o::regclass::text order by o::regclass::text) as tables from pg_extension e, unnest(e.extconfig) o
      where e.extname = 'pg_keeper'`;
    assert.deepEqual(await sql('former_extension', dumped), await sql('fresh', dumped));
    const members = `select pg_describe_object(d.classid, d.objid, 0) as object from pg_depend d
      join pg_extension e on e.oid = d.refobjid and e.extname = 'pg_keeper' and d.deptype = 'e' order by 1`;
    assert.deepEqual(await sql('former_extension', members), await sql('fresh', members));
    await sql('former_extension', 'drop extension pg_keeper');
  });

  test('upgraded by migration it is what all migrations make in an empty database', async () => {
    await newDatabase('fresh_migration');
    assert.equal((await migrateUp({ connection: connection('fresh_migration') })).kind, 'done');
    await newDatabase('stepwise');
    await migrateToFormer('stepwise');
    await sql('stepwise', rows);
    const earlier = await sql('stepwise', state);
    assert.equal((await migrateUp({ connection: connection('stepwise') })).kind, 'done');
    assert.deepEqual(await catalogOf(server, 'stepwise'), await catalogOf(server, 'fresh_migration'));
    assert.deepEqual(await sql('stepwise', state), earlier);
    if (extension.kind === 'ready')
      assert.deepEqual(await catalogOf(server, 'stepwise'), await catalogOf(server, 'fresh'));
  });

  test('three upgrades at once upgrade once', async () => {
    await newDatabase('at_once');
    await migrateToFormer('at_once');
    const outcomes = await Promise.all([1, 2, 3].map(() => migrateUp({ connection: connection('at_once') })));
    assert.deepEqual(outcomes.map(({ kind }) => kind).sort(), ['done', 'nothing-to-do', 'nothing-to-do']);
    assert.deepEqual(await catalogOf(server, 'at_once'), await catalogOf(server, 'fresh_migration'));
  });

  test('the way back leads to the old objects, and all of it away leaves what was there before', async () => {
    await newDatabase('back');
    await sql('back', 'create extension dblink');
    const earlier = await objectsIn(server, 'back');
    await migrateToFormer('back');
    const former = await catalogOf(server, 'back');
    assert.equal((await migrateUp({ connection: connection('back') })).kind, 'done');
    await sql('back', `begin; ${newestMigration().down}; commit`);
    assert.deepEqual(await catalogOf(server, 'back'), former);
    await sql('back', `begin; ${newestMigration().up}; commit`);
    assert.equal((await migrateDown({ connection: connection('back') })).kind, 'done');
    assert.deepEqual(await objectsIn(server, 'back'), earlier);
  });

  test('gives roles that may use the old objects the same on the new ones, and nobody else anything', async () => {
    await newDatabase('granted');
    await migrateToFormer('granted');
    await sql(
      'granted',
      `${formerGrants}; grant usage on schema pgkeeper to monitor; grant select on pgkeeper.status to monitor`,
    );
    assert.equal((await migrateUp({ connection: connection('granted') })).kind, 'done');
    const rights = `select c.oid::regclass::text as object, c.relacl::text as acl from pg_class c
        where c.relnamespace = 'pgkeeper'::regnamespace and c.relkind in ('r', 'v', 'S')
      union all select p.oid::regprocedure::text, p.proacl::text from pg_proc p where p.pronamespace = 'pgkeeper'::regnamespace order by 1`;
    const upgraded = await sql<{ object: string; acl: string }>('granted', rights);
    if (installation.major >= 15) {
      await sql('granted', grantsFor(role, { withoutPassword: false }));
      assert.deepEqual(await sql('granted', rights), upgraded, 'grants.sql has nothing to add');
    }
    for (const { object, acl } of upgraded) {
      assert.ok(acl !== null && !/[{,]=/.test(acl), `${object} is granted to PUBLIC`);
      if (/monitor=/.test(acl)) assert.match(object, /status$|^pgkeeper$/);
    }
  });

  test('locks nothing of cluster_state that a worker, or a standby in an election, needs', async () => {
    await newDatabase('locks');
    await migrateToFormer('locks');
    await sql('locks', rows);
    const [busy, upgrade] = [
      await server.connect('postgres', 'locks'),
      await server.connect('postgres', 'locks'),
    ];
    try {
      // As a worker that writes, and is slow.
      await busy.query('begin; update pgkeeper.cluster_state set epoch = epoch + 1');
      await upgrade.query(`set lock_timeout = '5s'; begin`);
      await upgrade.query(newestMigration().up);
      const { rows: locks } = await upgrade.query<{ mode: string }>(
        `select mode from pg_locks where pid = pg_backend_pid() and relation = 'pgkeeper.cluster_state'::regclass`,
      );
      const modes = locks.map(({ mode }) => mode);
      const harmless = ['AccessShareLock', 'RowShareLock', 'RowExclusiveLock', 'ShareUpdateExclusiveLock'];
      assert.deepEqual(
        modes.filter((mode) => !harmless.includes(mode)),
        [],
      );
      await upgrade.query('commit');
      await busy.query('commit');
    } finally {
      await Promise.all([busy.end(), upgrade.end()]);
    }
    const [row] = await sql(
      'locks',
      'select epoch, pgkeeper.version() as version from pgkeeper.cluster_state',
    );
    const { version } = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8')) as {
      version: string;
    };
    assert.deepEqual(row, { epoch: '1', version });
  });
});
