/** The look at a server, on a real one, in moments that are hard to meet. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import pg from 'pg';
import { runCommand } from '../../src/postgres/commands.js';
import { operatorLock, operatorLockClass } from '../../src/postgres/operator-lock.js';
import type { SessionContext } from '../../src/postgres/session-context.js';
import { RegistryServers } from '../support/registry-servers.js';
import { contextOf } from '../support/session-context.js';

describe('a look at a server', { concurrency: false }, () => {
  const servers = new RegistryServers();
  before(() => servers.create(['n1']));
  after(() => servers.remove());

  async function workerSession(): Promise<SessionContext> {
    return contextOf(await servers.master.connect(), {
      conninfo: servers.master.conninfo(),
      leaseTtlMs: () => 2000,
      applicationName: () => 'pgk master:ready n1',
      schemaKnown: false,
    });
  }

  test('finds an operator only in the session of a role that may call the function', async () => {
    const session = await workerSession();
    const { host, port } = servers.master;
    const stranger = new pg.Client({ host, port, user: 'stranger', database: 'template1' });
    await stranger.connect();
    try {
      const word = async () => runCommand(session, { kind: 'read-word' }, 5000);
      await stranger.query('select pg_advisory_lock($1, $2)', [operatorLockClass, operatorLock.acceptLoss]);
      assert.deepEqual(await word(), { kind: 'word', acceptLoss: null });
      await servers.master.query('grant execute on function pgkeeper.failover_here(boolean) to stranger');
      assert.deepEqual(await word(), { kind: 'word', acceptLoss: true });
    } finally {
      await Promise.all([stranger.end(), session.client.end()]);
    }
  });

  test('that leaves recovery in the middle of it is repeated, and the session lives on', async () => {
    const session = await workerSession();
    const { client } = session;
    try {
      // What the end of recovery looks like from within one statement: it began in recovery, and PostgreSQL is out of it.
      await client.query(`create schema moment;
        create sequence moment.calls;
        create function moment.pg_is_in_recovery() returns boolean language sql volatile as $$ select nextval('moment.calls') = 1 $$;
        set search_path = moment, pg_catalog`);
      const answer = await runCommand(session, { kind: 'observe' }, 5000);
      assert.ok(answer.kind === 'observed');
      assert.equal(answer.observation.inRecovery, false);
      const [row] = (await client.query<{ calls: string }>('select last_value as calls from moment.calls'))
        .rows;
      assert.equal(row?.calls, '2', 'the first look met the end of recovery');
    } finally {
      await client.end();
    }
  });
});
