/**
 * Both ways of installing the registry, on a real server: the same objects, all of them gone after removal, rows kept by pg_dump.
 * What the objects do is registry-functions.test.ts.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { type MigrationOutcome, migrateDown, migrateUp } from '../../src/postgres/migrations.js';
import { makeTestFolder } from '../../src/testbed/cluster.js';
import { findPostgres } from '../../src/testbed/find-postgres.js';
import { freePort } from '../../src/testbed/free-port.js';
import { TestServer } from '../../src/testbed/server.js';
import { byHand } from '../support/by-hand.js';
import { catalogOf, objectsIn } from '../support/catalog.js';
import { installExtension, packageFolder } from '../support/extension-files.js';
import { refusal } from '../support/refusal.js';
import { skipLoudly } from '../support/skip.js';

const installation = findPostgres(process.env['PGKEEPER_TEST_BIN'] ?? null);
const folder = makeTestFolder();
const extension = installExtension(installation, folder);
const host = '127.0.0.1';
let server: TestServer;

function needsExtension(context: TestContext): boolean {
  if (extension.kind === 'ready') return true;
  skipLoudly(context, extension.why);
  return false;
}

const connection = (database: string) => ({ host, port: server.port, user: 'postgres', database });
const sql = <Row extends Record<string, unknown>>(database: string, text: string) =>
  server.query<Row>(text, [], 'postgres', database);

async function newDatabase(name: string): Promise<string> {
  await server.query(`create database ${name} template template0`);
  return name;
}

function done(outcome: MigrationOutcome): void {
  assert.equal(outcome.kind, 'done', JSON.stringify(outcome));
}

before(async () => {
  const ready = extension.kind === 'ready' ? extension : { installation, settings: {} };
  server = new TestServer({ name: 'registry', folder, port: await freePort(host), host, ...ready });
  await server.initialise();
  await server.start();
});
after(async () => {
  await server.remove();
  rmSync(folder, { recursive: true, force: true });
});

describe('installing the registry', { concurrency: false }, () => {
  test('the generated migration and upgrade script are up to date with the parts of the extension', () => {
    const { status, stderr } = spawnSync(
      process.execPath,
      [join(packageFolder, 'scripts', 'make-migrations.mjs'), '--check'],
      { encoding: 'utf8' },
    );
    assert.equal(status, 0, stderr);
  });

  test('CREATE EXTENSION and pgkeeper migrate make the same objects, rights and comments included', async (context) => {
    if (!needsExtension(context)) return;
    await newDatabase('by_extension');
    await newDatabase('by_migration');
    await sql('by_extension', 'create extension pg_keeper cascade');
    done(await migrateUp({ connection: connection('by_migration') }));

    const [extended, migrated] = [
      await catalogOf(server, 'by_extension'),
      await catalogOf(server, 'by_migration'),
    ];
    assert.deepEqual(migrated, extended);
    const seen = new Set(extended.map(({ kind }) => kind));
    const all =
      'column constraint function relation_S relation_i relation_r relation_v schema sequence trigger type';
    assert.deepEqual(
      [...seen].sort(),
      all.split(' ').map((kind) => kind.replace('_', ' ')),
    );
    const rows = 'select to_jsonb(c) - $$changed_at$$ as row from pgkeeper.cluster_state c';
    assert.deepEqual(await sql('by_migration', rows), await sql('by_extension', rows));
  });

  test('every object of the schema belongs to the extension', async (context) => {
    if (!needsExtension(context)) return;
    const strays = await sql<{ object: string }>(
      'by_extension',
      `select pg_describe_object(o.classid, o.objid, 0) as object
       from (select 'pg_class'::regclass as classid, oid as objid from pg_class where relnamespace = 'pgkeeper'::regnamespace and relkind in ('r', 'v')
             union all select 'pg_proc'::regclass, oid from pg_proc where pronamespace = 'pgkeeper'::regnamespace
             union all select 'pg_namespace'::regclass, 'pgkeeper'::regnamespace) o
       where not exists (select from pg_depend d join pg_extension e on e.oid = d.refobjid and e.extname = 'pg_keeper'
                         where d.classid = o.classid and d.objid = o.objid and d.deptype = 'e')`,
    );
    assert.deepEqual(strays, []);
  });

  test('every object has a comment', async () => {
    await newDatabase('commented');
    done(await migrateUp({ connection: connection('commented') }));
    const silent = await sql<{ object: string }>(
      'commented',
      `select p.oid::regprocedure::text as object from pg_proc p
         where p.pronamespace = 'pgkeeper'::regnamespace and obj_description(p.oid, 'pg_proc') is null
       union all
       select c.oid::regclass::text from pg_class c
         where c.relnamespace = 'pgkeeper'::regnamespace and c.relkind in ('r', 'v') and obj_description(c.oid, 'pg_class') is null`,
    );
    assert.deepEqual(silent, []);
  });

  test('the version of the objects is that of the package', async () => {
    const [row] = await sql<{ version: string }>('commented', 'select pgkeeper.version() as version');
    const { version } = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8')) as {
      version: string;
    };
    assert.equal(row?.version, version);
  });

  test('migrating again changes nothing', async () => {
    await sql('commented', `insert into pgkeeper.node_info (name, conninfo) values ('kept', 'host=a')`);
    const earlier = await catalogOf(server, 'commented');
    assert.deepEqual(await migrateUp({ connection: connection('commented') }), { kind: 'nothing-to-do' });
    assert.deepEqual(await catalogOf(server, 'commented'), earlier);
    const rows = await sql<{ name: string }>('commented', 'select name from pgkeeper.node_info');
    assert.deepEqual(rows, [{ name: 'kept' }]);
  });

  test('two migrations at once install once', async () => {
    await newDatabase('twice');
    const outcomes = await Promise.all([1, 2, 3].map(() => migrateUp({ connection: connection('twice') })));
    assert.deepEqual(outcomes.map(({ kind }) => kind).sort(), ['done', 'nothing-to-do', 'nothing-to-do']);
    assert.deepEqual(await catalogOf(server, 'twice'), await catalogOf(server, 'commented'));
  });

  test('migrate --down leaves what was there before, and can be followed by another migration', async () => {
    await newDatabase('removed');
    await sql('removed', 'create extension dblink');
    const earlier = await objectsIn(server, 'removed');
    const options = { connection: connection('removed') };
    done(await migrateUp(options));
    const installed = await catalogOf(server, 'removed');
    assert.ok(installed.length > 100);
    done(await migrateDown(options));
    assert.deepEqual(await objectsIn(server, 'removed'), earlier);
    assert.deepEqual(await migrateDown(options), { kind: 'nothing-to-do' });
    done(await migrateUp(options));
    assert.deepEqual(await catalogOf(server, 'removed'), installed);
  });

  test('DROP EXTENSION leaves what was there before, and the extension can be made again', async (context) => {
    if (!needsExtension(context)) return;
    await newDatabase('dropped');
    await sql('dropped', 'create extension dblink');
    const earlier = await objectsIn(server, 'dropped');
    await sql('dropped', 'create extension pg_keeper');
    const installed = await catalogOf(server, 'dropped');
    await sql('dropped', `insert into pgkeeper.node_info (name, conninfo) values ('n1', 'host=a')`);
    await sql('dropped', 'drop extension pg_keeper');
    assert.deepEqual(await objectsIn(server, 'dropped'), earlier);
    await sql('dropped', 'create extension pg_keeper');
    assert.deepEqual(await catalogOf(server, 'dropped'), installed);
  });

  test('a view of the user stops both ways of removal, and nothing is gone', async (context) => {
    const view = 'create view mine as select name from pgkeeper.node_info';
    const ways: (readonly [string, () => Promise<unknown>])[] = [
      ['removed', () => migrateDown({ connection: connection('removed') })],
    ];
    if (needsExtension(context)) ways.push(['dropped', () => sql('dropped', 'drop extension pg_keeper')]);
    for (const [database, remove] of ways) {
      const installed = await catalogOf(server, database);
      await sql(database, view);
      const { text } = await refusal(remove());
      assert.match(text, /other objects depend on it/);
      assert.deepEqual(await catalogOf(server, database), installed);
      await sql(database, 'select * from mine');
    }
  });

  test('each way refuses what the other has installed, and says what to do', async (context) => {
    if (!needsExtension(context)) return;
    const options = { connection: connection('by_extension') };
    assert.deepEqual(await migrateUp(options), {
      kind: 'refused',
      reason: 'the objects belong to the extension pg_keeper',
      mend: 'to upgrade them: ALTER EXTENSION pg_keeper UPDATE;',
    });
    assert.equal((await migrateDown(options)).kind, 'refused');
    const { text } = await refusal(sql('by_migration', 'create extension pg_keeper cascade'));
    assert.match(text, /schema "pgkeeper" already exists/);
    assert.deepEqual(await catalogOf(server, 'by_migration'), await catalogOf(server, 'by_extension'));
  });

  test('CREATE EXTENSION asks for dblink, which CASCADE brings', async (context) => {
    if (!needsExtension(context)) return;
    await newDatabase('bare');
    const { text } = await refusal(sql('bare', 'create extension pg_keeper'));
    assert.match(text, /required extension "dblink" is not installed/);
    assert.match(text, /CREATE EXTENSION \.\.\. CASCADE/);
    await sql('bare', 'create extension pg_keeper cascade');
  });

  test('a schema of that name which is somebody else’s is left alone', async () => {
    await newDatabase('foreign_schema');
    await sql('foreign_schema', 'create schema pgkeeper; create table pgkeeper.theirs (id int)');
    const earlier = await objectsIn(server, 'foreign_schema');
    for (const migrate of [migrateUp, migrateDown])
      assert.equal((await migrate({ connection: connection('foreign_schema') })).kind, 'refused');
    assert.deepEqual(await objectsIn(server, 'foreign_schema'), earlier);
  });
});

describe('a dump of the registry', { concurrency: false }, () => {
  const dumper = join(installation.binDirectory, 'pg_dump');
  const state = `select jsonb_build_object('nodes', (select jsonb_agg(n order by n.seqno) from pgkeeper.node_info n),
    'events', (select jsonb_agg(e order by e.id) from pgkeeper.events e),
    'copy', (select jsonb_agg(n - 'database') from pgkeeper.cluster_state c, jsonb_array_elements(c.nodes) n)) as state`;

  /** Rows as a running cluster has them: a gap in the numbers, a name and a password full of quotes. */
  async function fill(database: string): Promise<void> {
    const conninfo = `${server.conninfo('postgres', database)} password='it\\'s \\\\ "quoted"'`;
    const add = (name: string) =>
      server.query('select pgkeeper.add_node($1, $2)', [name, conninfo], 'postgres', database);
    await add(`the "first" node's name`);
    await sql(
      database,
      `${byHand} insert into pgkeeper.node_info (name, conninfo) values ('gone', 'host=b'), ('n2', 'host=c')`,
    );
    await sql(database, `select pgkeeper.del_node('gone')`);
  }

  async function copyByDump(from: string, to: string): Promise<void> {
    const file = join(folder, `${from}.dump`);
    const at = (database: string) => ['-d', server.conninfo('postgres', database)];
    for (const [program, ...args] of [
      ['pg_dump', '-Fc', '-f', file, ...at(from)],
      ['pg_restore', '--exit-on-error', file, ...at(to)],
    ] as const) {
      const { status, stderr } = spawnSync(join(installation.binDirectory, program), args, {
        encoding: 'utf8',
      });
      assert.equal(status, 0, `${program}: ${stderr}`);
    }
  }

  for (const way of ['extension', 'migration'] as const) {
    test(`keeps the rows of a registry made by ${way}, and the numbers go on`, async (context) => {
      if (way === 'extension' && !needsExtension(context)) return;
      if (!existsSync(dumper)) return skipLoudly(context, `${installation.binDirectory} holds no pg_dump`);
      const [from, to] = [await newDatabase(`dumped_${way}`), await newDatabase(`restored_${way}`)];
      if (way === 'extension') await sql(from, 'create extension pg_keeper cascade');
      else done(await migrateUp({ connection: connection(from) }));
      await fill(from);
      await copyByDump(from, to);

      assert.deepEqual(await catalogOf(server, to), await catalogOf(server, from));
      assert.deepEqual(await sql(to, state), await sql(from, state));
      const [added] = await sql<{ seqno: number }>(
        to,
        `with let as materialized (select set_config('pg_keeper.edit_node_info', 'on', true))
          insert into pgkeeper.node_info (name, conninfo) select 'later', 'host=d' from let returning seqno`,
      );
      assert.equal(added?.seqno, 4);
    });
  }

  test('of an extension does not hold who is master: the restored database is no cluster until told so', async (context) => {
    if (!needsExtension(context)) return;
    if (!existsSync(dumper)) return skipLoudly(context, `${installation.binDirectory} holds no pg_dump`);
    const to = 'restored_extension';
    const [row] = await sql(to, 'select master, system_identifier, epoch from pgkeeper.cluster_state');
    assert.deepEqual(row, { master: null, system_identifier: null, epoch: '0' });
    const add = () => sql(to, `select pgkeeper.add_node('n9', '${server.conninfo('postgres', to)}')`);
    const { message, hint } = await refusal(add());
    assert.match(message, /the registry in this database is that of another cluster/);
    assert.match(hint, /^Empty it with DELETE FROM pgkeeper.node_info;/);
    await sql(to, 'delete from pgkeeper.node_info');
    await add();
    const nodes = await sql(to, 'select seqno, name, is_master from pgkeeper.node_info');
    assert.deepEqual(nodes, [{ seqno: 5, name: 'n9', is_master: true }]);
  });

  test('names every table of the extension whose rows belong into it', async (context) => {
    if (!needsExtension(context)) return;
    const [row] = await sql<{ tables: string[] }>(
      'by_extension',
      `select array_agg(o::regclass::text order by o::regclass::text) as tables
       from pg_extension e, unnest(e.extconfig) o where e.extname = 'pg_keeper'`,
    );
    const expected = [
      'events',
      'events_id_seq',
      'node_info',
      'node_info_seqno_seq',
      'node_plan',
      'witness_info',
    ];
    assert.deepEqual(
      row?.tables,
      expected.map((name) => `pgkeeper.${name}`),
    );
  });
});
