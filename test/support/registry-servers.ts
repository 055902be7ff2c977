/**
 * A master with the registry and standbys that stream from it, no workers: what the SQL functions need. Everything they store can
 * be looked at in one piece, and what they say in refusing is searched for secrets.
 */
import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { withKeywords } from '../../src/core/conninfo.js';
import { migrateUp } from '../../src/postgres/migrations.js';
import { makeTestFolder } from '../../src/testbed/cluster.js';
import { findPostgres } from '../../src/testbed/find-postgres.js';
import { freePort } from '../../src/testbed/free-port.js';
import { TestServer } from '../../src/testbed/server.js';
import { until } from '../../src/testbed/until.js';
import { type Refusal, refusal } from './refusal.js';

const host = '127.0.0.1';
export const installation = findPostgres(process.env['PGKEEPER_TEST_BIN'] ?? null);

/** Needs every kind of quoting there is. Servers ask `secretive` (superuser) and `guarded` (no rights yet) for it, and trust everybody else. */
export const password = `hush: it's a \\ "secret"`;
const traceOfPassword = /hush/;

export interface NodeRow {
  readonly seqno: number;
  readonly name: string;
  readonly is_master: boolean;
  readonly is_nextmaster: boolean;
  readonly is_sync: boolean;
}

export class RegistryServers {
  readonly folder = makeTestFolder();
  readonly #servers = new Map<string, TestServer>();

  /** The first is the master. */
  async create(names: readonly string[]): Promise<void> {
    const [first = '', ...others] = names;
    const master = await this.initialise(first);
    const rules = join(master.dataDirectory, 'pg_hba.conf');
    writeFileSync(rules, `host all secretive,guarded all scram-sha-256\n${readFileSync(rules, 'utf8')}`);
    await master.start();
    const outcome = await migrateUp({
      connection: { host, port: master.port, user: 'postgres', database: 'postgres' },
    });
    assert.equal(outcome.kind, 'done');
    const secret = pg.escapeLiteral(password);
    await master.query(`create role secretive login superuser password ${secret};
      create role guarded login password ${secret}; create role stranger login`);
    const standbys = [];
    for (const name of others) standbys.push(await this.#newServer(name));
    await Promise.all(
      standbys.map(async (standby) => {
        await standby.copyOf(master, 'postgres');
        await standby.start();
      }),
    );
  }

  /** A server of its own, with a system identifier of its own; not started. */
  async initialise(name: string): Promise<TestServer> {
    const server = await this.#newServer(name);
    await server.initialise();
    return server;
  }

  async #newServer(name: string): Promise<TestServer> {
    const settings = {
      'pg_keeper.node_name': name,
      'pg_keeper.keepalive_time': '1s',
      password_encryption: 'scram-sha-256',
      wal_retrieve_retry_interval: '100ms',
      fsync: 'off',
    };
    const port = await freePort(host);
    const server = new TestServer({ name, folder: this.folder, port, host, installation, settings });
    this.#servers.set(name, server);
    return server;
  }

  get(name: string): TestServer {
    const server = this.#servers.get(name);
    assert.ok(server !== undefined, `there is a server ${name}`);
    return server;
  }

  get master(): TestServer {
    const [first] = this.#servers.values();
    assert.ok(first !== undefined);
    return first;
  }

  /** With the password. */
  secretConninfo(name: string, role = 'secretive'): string {
    return withKeywords(this.get(name).conninfo(role), { password });
  }

  async add(
    name: string | null,
    conninfo: string | null,
    on = this.master,
    user = 'postgres',
  ): Promise<void> {
    const [row] = await on.query<{ done: boolean }>(
      'select pgkeeper.add_node($1, $2) as done',
      [name, conninfo],
      user,
    );
    assert.equal(row?.done, true);
  }

  async del(
    which: string | number | null,
    on = this.master,
    user = 'postgres',
  ): Promise<boolean | undefined> {
    const type = typeof which === 'number' ? 'integer' : 'text';
    const [row] = await on.query<{ done: boolean }>(
      `select pgkeeper.del_node($1::${type}) as done`,
      [which],
      user,
    );
    return row?.done;
  }

  async nodes(): Promise<readonly NodeRow[]> {
    return this.master.query<NodeRow & Record<string, unknown>>(
      'select seqno, name, is_master, is_nextmaster, is_sync from pgkeeper.node_info order by seqno',
    );
  }

  /** Everything there is to store in. */
  async stored(): Promise<unknown> {
    const [row] = await this.master.query<{ stored: unknown }>(
      `select jsonb_build_object(
        'nodes', (select jsonb_agg(n order by n.seqno) from pgkeeper.node_info n),
        'state', (select jsonb_agg(c) from pgkeeper.cluster_state c),
        'events', (select jsonb_agg(e order by e.id) from pgkeeper.events e),
        'states', (select jsonb_agg(s order by s.name) from pgkeeper.node_state s)) as stored`,
    );
    return row?.stored;
  }

  /** The statement is refused in these words, nothing of it is stored, and no word of the answer is secret. */
  async refused(statement: () => Promise<unknown>, message: RegExp): Promise<Refusal> {
    const earlier = await this.stored();
    const found = await refusal(statement());
    assert.match(found.message, message);
    assert.doesNotMatch(found.text, traceOfPassword);
    assert.deepEqual(await this.stored(), earlier);
    return found;
  }

  /** No server has written a secret into its log. */
  assertSilentLogs(): void {
    for (const server of this.#servers.values()) {
      const lines = server.lastLog(Number.POSITIVE_INFINITY).split('\n');
      assert.deepEqual(
        lines.filter((line) => traceOfPassword.test(line)),
        [],
        server.name,
      );
    }
  }

  /** So many standbys stream under that name, and have replayed all that is written by now. */
  async untilStreaming(applicationName: string, count = 1): Promise<void> {
    const [position] = await this.master.query<{ lsn: string }>('select pg_current_wal_lsn()::text as lsn');
    await until(`${count} servers stream as ${applicationName}`, async () => {
      const [row] = await this.master.query<{ streaming: number }>(
        `select count(*)::integer as streaming from pg_stat_replication
         where application_name = $1 and state = 'streaming' and replay_lsn >= $2`,
        [applicationName, position?.lsn],
      );
      return row?.streaming === count;
    });
  }

  async remove(): Promise<void> {
    await Promise.all([...this.#servers.values()].map((server) => server.remove()));
    rmSync(this.folder, { recursive: true, force: true });
  }
}
