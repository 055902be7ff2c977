/**
 * Who may do what: nobody without a grant, the workers' role with those of deploy/grants.sql and no more, with a password
 * or without. PostgreSQL 15 and newer; on 14 a worker is superuser.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import pg from 'pg';
import { keeperRole } from '../../src/testbed/cluster.js';
import { grantsFile, grantsFor } from '../../src/testbed/grants.js';
import { until } from '../../src/testbed/until.js';
import { byHand } from '../support/by-hand.js';
import { refusal } from '../support/refusal.js';
import { installation, password, RegistryServers } from '../support/registry-servers.js';
import { skipLoudly } from '../support/skip.js';

const servers = new RegistryServers();

before(() => servers.create(['n1', 'n2']));
after(() => servers.remove());

/** Every privilege a role was given by name, on anything, and what it is a member of. */
async function privilegesOf(role: string): Promise<readonly string[]> {
  const rows = await servers.master.query<{ privilege: string }>(
    `with r as (select * from pg_roles where rolname = $1)
     select a.privilege_type || ' on ' || o.object as privilege
       from (select 'schema ' || oid::regnamespace as object, nspacl as acl from pg_namespace
             union all select 'relation ' || oid::regclass, relacl from pg_class
             union all select 'function ' || oid::regprocedure, proacl from pg_proc
             union all select 'parameter ' || parname, paracl from pg_parameter_acl) o, aclexplode(o.acl) a, r
       where a.grantee = r.oid
     union all select 'member of ' || m.roleid::regrole from pg_auth_members m, r where m.member = r.oid
     union all select concat_ws(' ', 'login', rolcanlogin, 'replication', rolreplication, 'superuser', rolsuper,
                                'createrole', rolcreaterole, 'createdb', rolcreatedb, 'bypassrls', rolbypassrls) from r
     order by 1`,
    [role],
  );
  return rows.map(({ privilege }) => privilege);
}

describe('without a grant', { concurrency: false }, () => {
  test('nobody gets into the schema', async () => {
    const denied = /^permission denied for schema pgkeeper$/;
    for (const statement of [
      'select * from pgkeeper.node_info',
      'select * from pgkeeper.status',
      `select pgkeeper.indirect_polling('host=127.0.0.1')`,
      `select pgkeeper.add_node('a', 'b')`,
      `create table pgkeeper.mine ()`,
    ]) {
      const { message, code } = await refusal(servers.master.query(statement, [], 'stranger'));
      assert.match(message, denied);
      assert.equal(code, '42501');
    }
  });

  test('and even within the schema there is nothing for PUBLIC', async () => {
    await servers.master.query('grant usage on schema pgkeeper to stranger');
    const open = await servers.master.query<{ object: string }>(
      `select c.oid::regclass::text as object from pg_class c
         where c.relnamespace = 'pgkeeper'::regnamespace and c.relkind in ('r', 'v', 'S')
           and (has_table_privilege('stranger', c.oid, 'select, insert, update, delete, truncate, references, trigger')
                or (c.relkind = 'S' and has_sequence_privilege('stranger', c.oid, 'usage, select, update'))
                or (c.relkind <> 'S' and has_any_column_privilege('stranger', c.oid, 'select, insert, update, references')))
       union all
       select p.oid::regprocedure::text from pg_proc p
         where p.pronamespace = 'pgkeeper'::regnamespace and has_function_privilege('stranger', p.oid, 'execute')`,
    );
    assert.deepEqual(open, []);
    const all = await servers.master.query(
      `select from pg_proc where pronamespace = 'pgkeeper'::regnamespace`,
    );
    assert.ok(all.length > 30, 'the functions were looked at');
    await servers.master.query('revoke usage on schema pgkeeper from stranger');
  });
});

if (installation.major >= 15) {
  const asGuarded = async <Row extends pg.QueryResultRow>(text: string, values: readonly unknown[] = []) => {
    const { host, port } = servers.master;
    const client = new pg.Client({
      host,
      port,
      user: 'guarded',
      password,
      database: 'postgres',
      query_timeout: 30_000,
    });
    await client.connect();
    try {
      return (await client.query<Row>(text, [...values])).rows;
    } finally {
      await client.end();
    }
  };

  describe('deploy/grants.sql', { concurrency: false }, () => {
    test('asks for a role and for the registry, and changes nothing without them', async () => {
      const statement = grantsFor('nobody', { withoutPassword: false });
      const without = statement.replace(/^set pg_keeper.grant_to.*$/m, '');
      assert.match((await refusal(servers.master.query(without))).message, /^give the role: psql -v role=/);
      await servers.master.query('create database bare');
      const { message } = await refusal(servers.master.query(statement, [], 'postgres', 'bare'));
      assert.match(message, /^the pgkeeper objects are not in this database/);
      assert.deepEqual(await servers.master.query(`select from pg_roles where rolname = 'nobody'`), []);
    });

    test('may be run again, and adds the right to connect without a password only when told to', async () => {
      const grant = (withoutPassword: boolean) =>
        servers.master.query(grantsFor(keeperRole, { withoutPassword }));
      await grant(false);
      const guarded = await privilegesOf(keeperRole);
      await grant(false);
      assert.deepEqual(await privilegesOf(keeperRole), guarded);
      await grant(true);
      const added = (await privilegesOf(keeperRole)).filter((privilege) => !guarded.includes(privilege));
      assert.deepEqual(added, ['EXECUTE on function dblink_connect_u(text,text)']);
      assert.ok(guarded.includes('login t replication t superuser f createrole f createdb f bypassrls f'));
    });

    test('gives the same rights through psql, to a role of any name', async (context: TestContext) => {
      const own = join(installation.binDirectory, 'psql');
      const psql = existsSync(own) ? own : 'psql';
      if (spawnSync(psql, ['--version']).status !== 0) return skipLoudly(context, 'there is no psql');
      const role = `the "keeper's" role`;
      const run = (...variables: readonly string[]) =>
        spawnSync(psql, ['-X', '-d', servers.master.conninfo(), ...variables, '-f', grantsFile()], {
          encoding: 'utf8',
        });
      const missing = run();
      assert.equal(missing.status, 3);
      assert.match(missing.stderr, /give the role: psql -v role=pgkeeper -f grants\.sql/);

      const guarded = run('-v', `role=${role}`);
      assert.equal(guarded.status, 0, guarded.stderr);
      await servers.master.query(grantsFor('guarded', { withoutPassword: false }));
      assert.deepEqual(await privilegesOf(role), await privilegesOf('guarded'));
      assert.equal(run('-v', `role=${role}`, '-v', 'without_password=1').status, 0);
      assert.deepEqual(await privilegesOf(role), await privilegesOf(keeperRole));
    });
  });

  describe('the role of the workers', { concurrency: false }, () => {
    const conninfo = (name: string) => servers.get(name).conninfo(keeperRole);

    test('does everything there is to do with the registry', async () => {
      const own = (text: string) => servers.master.query(text, [], keeperRole);
      await servers.add('n1', conninfo('n1'), servers.master, keeperRole);
      await servers.untilStreaming('n2');
      await servers.add('n2', conninfo('n2'), servers.master, keeperRole);
      assert.deepEqual(await own(`select pgkeeper.indirect_polling('${conninfo('n2')}') as answers`), [
        { answers: true },
      ]);
      assert.deepEqual(await own(`select pgkeeper.indirect_kill('SIGUSR1') as done`), [{ done: true }]);
      const status = await own(
        'select name, has_lsn from pgkeeper.status, lateral (select lsn is not null as has_lsn) l',
      );
      assert.deepEqual(status, [
        { name: 'n1', has_lsn: true },
        { name: 'n2', has_lsn: true },
      ]);
      await own(`insert into pgkeeper.events (epoch, node, code, sentence) values (1, 'n1', 'x', 'y')`);
      await own(`insert into pgkeeper.node_state (name, state) values ('n1', 'master:ready')`);
      await own(`update pgkeeper.cluster_state set sync_wish = 'n2'`);
      await own(`update pgkeeper.cluster_state set sync_wish = ''`);
      await own('listen pgkeeper');
      assert.equal(await servers.del('n2', servers.master, keeperRole), true);
    });

    test('changes the settings it needs and no others, and ends no session of a superuser', async () => {
      const denied = async (text: string, message: RegExp) =>
        assert.match((await refusal(servers.master.query(text, [], keeperRole))).message, message);
      for (const name of [
        'synchronous_standby_names',
        'primary_conninfo',
        'primary_slot_name',
        'wal_retrieve_retry_interval',
      ]) {
        await servers.master.query(`alter system reset ${name}`, [], keeperRole);
      }
      await denied(`alter system set archive_command = 'true'`, /permission denied to set parameter/);
      await denied('create table pgkeeper.mine ()', /permission denied for schema/);
      await denied('truncate pgkeeper.node_info', /permission denied for table/);
      await denied('delete from pgkeeper.cluster_state', /permission denied for table/);
      await denied('select * from pg_authid', /permission denied for table/);
      const superuser = await servers.master.connect();
      try {
        const { rows } = await superuser.query<{ pid: number }>('select pg_backend_pid() as pid');
        await denied(
          `select pg_terminate_backend(${rows[0]?.pid})`,
          /superuser|permission denied to terminate process/,
        );
      } finally {
        await superuser.end();
      }
    });

    test('needs a password in every conninfo where it was not trusted to connect without, and says so', async () => {
      await servers.master.query(`${byHand} delete from pgkeeper.node_info`);
      const add = (name: string, target: string) =>
        asGuarded('select pgkeeper.add_node($1, $2)', [name, target]);
      const { text } = await servers.refused(
        () => add('n1', servers.master.conninfo('guarded')),
        installation.major < 16
          ? /^the server does not answer: /
          : /^cannot ask another server within a bound/,
      );
      assert.match(text, /a role that is not superuser (for|needs) a password in the conninfo/i);
      await add('n1', servers.secretConninfo('n1', 'guarded'));
      await add('n2', servers.secretConninfo('n2', 'guarded'));
      const poll = (target: string) => asGuarded('select pgkeeper.indirect_polling($1) as answers', [target]);
      assert.deepEqual(await poll(servers.secretConninfo('n2', 'guarded')), [{ answers: true }]);
      for (const target of [
        servers.get('n2').conninfo('guarded'),
        `${servers.get('n2').conninfo('guarded')} password=hush`,
        'hush',
      ])
        assert.deepEqual(await poll(target), [{ answers: false }], target);
      assert.deepEqual(await asGuarded(`select pgkeeper.del_node('n2') as done`), [{ done: true }]);
    });

    test('typed into a statement that fails a conninfo stays out of the log, and what fails next is logged', async () => {
      const secret = 'host=127.0.0.1 port=1 user=x password=hush';
      for (const role of ['postgres', keeperRole]) {
        const client = await servers.master.connect(role);
        const fails = (text: string) => assert.rejects(client.query(text), text);
        try {
          for (const call of ['add_node', 'add_witness'])
            await fails(`select pgkeeper.${call}('n9', '${secret}')`);
          await fails(`select pgkeeper.indirect_polling('${secret}', 0)`);
          await client.query('begin');
          await client.query(`select pgkeeper.indirect_polling('')`);
          await fails(`select 1 / 0 as by_${role}`);
        } finally {
          await client.end();
        }
        await until('the later failure is in the log with its statement', () =>
          new RegExp(`STATEMENT: .*by_${role}`).test(servers.master.lastLog(Number.POSITIVE_INFINITY)),
        );
      }
    });

    test('leaves no password in a log', () => servers.assertSilentLogs());
  });
}
