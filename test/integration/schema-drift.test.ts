/**
 * src/postgres/tables.ts against an installed registry. Between the two stands the list below: the compiler compares it with the
 * types, the test with the server, so neither can move alone.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Insertable, Kysely, PostgresDialect, type Selectable } from 'kysely';
import pg from 'pg';
import type { Database, Interval } from '../../src/postgres/tables.js';
import { RegistryServers } from '../support/registry-servers.js';

type TypeFor<T> = T extends number
  ? 'integer'
  : T extends boolean
    ? 'boolean'
    : T extends Date
      ? 'timestamp with time zone'
      : T extends string
        ? 'text' | 'bigint' | 'uuid' | 'pg_lsn'
        : T extends readonly string[]
          ? 'ARRAY'
          : T extends Interval
            ? 'interval'
            : 'jsonb';

type Column<T, C extends keyof Selectable<T>> = readonly [
  type: TypeFor<NonNullable<Selectable<T>[C]>>,
  nullable: null extends Selectable<T>[C] ? 'NULL' : 'NOT NULL',
  inserting: C extends keyof Insertable<T>
    ? undefined extends Insertable<T>[C]
      ? 'may be left out'
      : 'must be given'
    : 'never given',
];

type Described = {
  readonly [T in keyof Database]: { readonly [C in keyof Selectable<Database[T]>]: Column<Database[T], C> };
};

/** Columns in their order. */
const described: Described = {
  node_info: {
    seqno: ['integer', 'NOT NULL', 'may be left out'],
    name: ['text', 'NOT NULL', 'must be given'],
    conninfo: ['text', 'NOT NULL', 'must be given'],
    is_master: ['boolean', 'NOT NULL', 'may be left out'],
    is_nextmaster: ['boolean', 'NOT NULL', 'may be left out'],
    is_sync: ['boolean', 'NOT NULL', 'may be left out'],
  },
  witness_info: {
    seqno: ['integer', 'NOT NULL', 'may be left out'],
    name: ['text', 'NOT NULL', 'must be given'],
    conninfo: ['text', 'NOT NULL', 'must be given'],
    database: ['text', 'NOT NULL', 'must be given'],
    token: ['uuid', 'NOT NULL', 'may be left out'],
    system_identifier: ['text', 'NOT NULL', 'must be given'],
    timeline: ['integer', 'NOT NULL', 'must be given'],
    address: ['text', 'NOT NULL', 'must be given'],
  },
  cluster_state: {
    only_row: ['boolean', 'NOT NULL', 'may be left out'],
    epoch: ['bigint', 'NOT NULL', 'may be left out'],
    version: ['bigint', 'NOT NULL', 'may be left out'],
    promotion_id: ['uuid', 'NULL', 'may be left out'],
    promotions: ['jsonb', 'NOT NULL', 'may be left out'],
    system_identifier: ['text', 'NULL', 'may be left out'],
    master: ['text', 'NULL', 'may be left out'],
    sync_wish: ['text', 'NOT NULL', 'may be left out'],
    sync_members: ['ARRAY', 'NOT NULL', 'may be left out'],
    sync_needed: ['integer', 'NOT NULL', 'may be left out'],
    sync_wished: ['integer', 'NOT NULL', 'may be left out'],
    voters: ['jsonb', 'NOT NULL', 'may be left out'],
    nodes: ['jsonb', 'NOT NULL', 'may be left out'],
    changed_at: ['timestamp with time zone', 'NOT NULL', 'may be left out'],
  },
  events: {
    id: ['bigint', 'NOT NULL', 'may be left out'],
    at: ['timestamp with time zone', 'NOT NULL', 'may be left out'],
    epoch: ['bigint', 'NOT NULL', 'must be given'],
    node: ['text', 'NOT NULL', 'must be given'],
    code: ['text', 'NOT NULL', 'must be given'],
    sentence: ['text', 'NOT NULL', 'must be given'],
    details: ['jsonb', 'NOT NULL', 'may be left out'],
  },
  node_state: {
    name: ['text', 'NOT NULL', 'must be given'],
    state: ['text', 'NOT NULL', 'must be given'],
    since: ['timestamp with time zone', 'NOT NULL', 'may be left out'],
    reported_at: ['timestamp with time zone', 'NOT NULL', 'may be left out'],
  },
  requests: {
    id: ['bigint', 'NOT NULL', 'may be left out'],
    kind: ['text', 'NOT NULL', 'must be given'],
    target: ['text', 'NULL', 'may be left out'],
    options: ['jsonb', 'NOT NULL', 'may be left out'],
    state: ['text', 'NOT NULL', 'may be left out'],
    reason: ['text', 'NOT NULL', 'may be left out'],
    epoch: ['bigint', 'NOT NULL', 'must be given'],
    asked_at: ['timestamp with time zone', 'NOT NULL', 'may be left out'],
    changed_at: ['timestamp with time zone', 'NOT NULL', 'may be left out'],
  },
  node_plan: {
    name: ['text', 'NOT NULL', 'must be given'],
    maintenance: ['boolean', 'NOT NULL', 'may be left out'],
    priority: ['integer', 'NULL', 'may be left out'],
  },
  cluster_plan: {
    only_row: ['boolean', 'NOT NULL', 'may be left out'],
    pause: ['text', 'NOT NULL', 'may be left out'],
  },
  status: {
    name: ['text', 'NOT NULL', 'never given'],
    role: ['text', 'NOT NULL', 'never given'],
    state: ['text', 'NOT NULL', 'never given'],
    is_nextmaster: ['boolean', 'NOT NULL', 'never given'],
    is_sync: ['boolean', 'NOT NULL', 'never given'],
    timeline: ['integer', 'NULL', 'never given'],
    lsn: ['pg_lsn', 'NULL', 'never given'],
    lag_bytes: ['bigint', 'NULL', 'never given'],
    since: ['timestamp with time zone', 'NULL', 'never given'],
    lease: ['text', 'NULL', 'never given'],
  },
  repl_status: {
    name: ['text', 'NOT NULL', 'never given'],
    state: ['text', 'NOT NULL', 'never given'],
    replication_lag: ['bigint', 'NULL', 'never given'],
    apply_lag: ['bigint', 'NULL', 'never given'],
    time_lag: ['interval', 'NULL', 'never given'],
  },
};
const tables = Object.keys(described) as readonly (keyof Database)[];

describe('the types of the registry', { concurrency: false }, () => {
  const servers = new RegistryServers();
  before(() => servers.create(['n1']));
  after(() => servers.remove());

  test('name every table and view there is', async () => {
    const rows = await servers.master.query<{ table_name: string }>(
      `select table_name from information_schema.tables where table_schema = 'pgkeeper' order by 1`,
    );
    assert.deepEqual(
      rows.map((row) => row.table_name),
      [...tables].sort(),
    );
  });

  for (const table of tables) {
    test(`describe the columns of ${table}`, async () => {
      const rows = await servers.master.query<{ name: string; column: readonly string[] }>(
        `select c.column_name as name, array[c.data_type::text,
           case when t.table_type = 'VIEW' then $2::jsonb -> c.column_name ->> 1 when c.is_nullable = 'YES' then 'NULL' else 'NOT NULL' end,
           case when t.table_type = 'VIEW' then 'never given'
                when c.is_nullable = 'YES' or c.column_default is not null or c.is_identity = 'YES' then 'may be left out'
                else 'must be given' end] as column
         from information_schema.columns c join information_schema.tables t using (table_schema, table_name)
         where table_schema = 'pgkeeper' and table_name = $1 order by c.ordinal_position`,
        [table, JSON.stringify(described[table])],
      );
      assert.deepEqual(
        rows.map((row) => [row.name, ...row.column]),
        Object.entries<readonly string[]>(described[table]).map(([name, column]) => [name, ...column]),
      );
    });
  }

  test('are what a query gives', async () => {
    const conninfo = servers.master.conninfo();
    await servers.add('n1', conninfo);
    const { host, port } = servers.master;
    const pool = new pg.Pool({ host, port, user: 'postgres', database: 'postgres', max: 1 });
    const db = new Kysely<Database>({ dialect: new PostgresDialect({ pool }) }).withSchema('pgkeeper');
    try {
      const node = await db.selectFrom('node_info').selectAll().executeTakeFirstOrThrow();
      assert.equal(typeof node.seqno, 'number');
      const state = await db.selectFrom('cluster_state').selectAll().executeTakeFirstOrThrow();
      assert.equal(state.epoch, '1');
      assert.ok(state.changed_at instanceof Date);
      assert.deepEqual(state.sync_members, []);
      const voter = { name: 'n1', kind: 'node', conninfo, database: 'postgres', seqno: node.seqno };
      assert.deepEqual(state.voters, [voter]);
      const event = await db.selectFrom('events').selectAll().executeTakeFirstOrThrow();
      assert.equal(event.id, '1');
      assert.deepEqual(event.details, { version: 1, nodes: 1 });
      const status = await db.selectFrom('status').selectAll().executeTakeFirstOrThrow();
      assert.equal(status.role, 'master');
      assert.match(status.lsn ?? '', /^[0-9A-F]+\/[0-9A-F]+$/);
      assert.equal(status.lag_bytes, '0');
      assert.equal(status.timeline, 1);
      const lags = await db.selectFrom('repl_status').selectAll().executeTakeFirstOrThrow();
      assert.deepEqual([lags.state, lags.replication_lag, lags.apply_lag], ['master', '0', '0']);
      assert.equal(lags.time_lag?.toPostgres(), '0');
    } finally {
      await db.destroy();
    }
  });
});
