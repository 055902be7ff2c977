/**
 * The vote's session on real servers, without workers: what of the protocol's rules is in statements, not in decisions. The
 * schedules A9, A12, B6, B7, B8 and B10 of the protocol's review.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import type pg from 'pg';
import { until } from '../../src/testbed/until.js';
import { RegistryServers } from '../support/registry-servers.js';
import { VoteSession } from '../support/vote-session.js';

const servers = new RegistryServers();
const conninfo = (name: string) => servers.get(name).conninfo();
const open: VoteSession[] = [];
const clients: pg.Client[] = [];

async function sessionTo(name: string, worker: string, database = 'postgres', ttlMs?: number) {
  const session = await new VoteSession(worker, ttlMs).opened(conninfo(name), database);
  open.push(session);
  return session;
}

async function clientOf(name: string, user = 'postgres'): Promise<pg.Client> {
  const client = await servers.get(name).connect(user);
  clients.push(client);
  return client;
}

async function lockCount(name: string): Promise<number | undefined> {
  const [row] = await servers
    .get(name)
    .query<{ locks: number }>(`select count(*)::int as locks from pg_locks where locktype = 'advisory'`);
  return row?.locks;
}

before(async () => {
  await servers.create(['n1', 'n2']);
  await servers.add('n1', conninfo('n1'));
  await servers.untilStreaming('n2');
  await servers.add('n2', conninfo('n2'));
  await servers.master.query('create database other');
});
afterEach(async () => {
  for (const session of open.splice(0)) await session.end();
  for (const client of clients.splice(0)) await client.end().catch(() => undefined);
});
after(() => servers.remove());

describe('a vote', { concurrency: false }, () => {
  test('of one server has one holder, whatever database it is asked for in (A9)', async () => {
    const holder = await sessionTo('n1', 'n1');
    const elsewhere = await sessionTo('n1', 'n2', 'other');
    assert.equal(await holder.isGranted(), true);
    assert.equal(await elsewhere.isGranted(), false);
    assert.equal(await lockCount('n1'), 1, 'what was not granted is given back');
    await holder.answer({ kind: 'release' });
    assert.equal(await elsewhere.isGranted(), true);
    assert.equal(await holder.isGranted(), false);
  });

  test('is given back whole, however often it was taken (B8)', async () => {
    const first = await sessionTo('n1', 'n1');
    const second = await sessionTo('n1', 'n2');
    for (let i = 0; i < 3; i++) assert.equal(await first.isGranted(), true);
    await first.answer({ kind: 'release' });
    assert.equal(await lockCount('n1'), 0);
    assert.equal(await second.isGranted(), true);
  });

  test('ends with its session at any error (B8)', async () => {
    const first = await sessionTo('n1', 'n1');
    const second = await sessionTo('n1', 'n2');
    assert.equal(await first.isGranted(), true);
    const event = await first.ask({ kind: 'follow', conninfo: 'host=nowhere' });
    assert.equal(event.kind, 'session-lost', 'a master follows nobody');
    await until('its lock is gone', async () => (await lockCount('n1')) === 0);
    assert.equal(await second.isGranted(), true);
  });

  test('ends when its holder is silent for the lease, and no sooner by the settings of the server (A12)', async () => {
    await servers.master.changeSettings({ idle_session_timeout: '300ms', tcp_user_timeout: '300ms' });
    const ttlMs = 2000;
    const first = await sessionTo('n1', 'n1', 'postgres', ttlMs);
    const second = await sessionTo('n1', 'n2', 'postgres', ttlMs);
    // Longer than the server would bear it: neither has a vote yet.
    await servers.master.query('select pg_sleep(1)');
    assert.equal(await first.isGranted(), true);
    const began = performance.now();
    await until('the lock is free', () => second.isGranted(), 30_000, 50);
    // The server's timer began before the answer to the vote was here.
    const freeMs = performance.now() - began;
    assert.ok(freeMs > ttlMs - 100, `free after ${freeMs} ms`);
    await servers.master.changeSettings({ idle_session_timeout: '0', tcp_user_timeout: '0' });
  });

  test('tells which workers are there without it, by sessions that were used just now and are old enough (A12)', async () => {
    const workers = async (knownMs = 0) => {
      const answer = await asking.answer({ kind: 'try-vote', knownMs });
      assert.ok(answer.kind === 'vote' && answer.granted, JSON.stringify(answer));
      return [...new Set(answer.workers)].sort();
    };
    const asking = await sessionTo('n1', 'n1', 'postgres', 12_000);
    const left = await sessionTo('n1', 'n2');
    await left.answer({ kind: 'renew' });
    assert.deepEqual(await workers(), ['n1', 'n2']);
    // A quarter of lease_ttl.
    await servers.master.query('select pg_sleep(3.1)');
    assert.deepEqual(await workers(), ['n1']);
    await left.answer({ kind: 'renew' });
    assert.deepEqual(await workers(), ['n1', 'n2']);
    assert.deepEqual(await workers(3000), ['n1', 'n2']);
    assert.deepEqual(await workers(600_000), []);
  });

  test('can be had on a server that is full (B10)', async () => {
    for (;;) {
      try {
        await clientOf('n1', 'stranger');
      } catch (error) {
        assert.match(String(error), /remaining connection slots are reserved|too many clients/);
        break;
      }
    }
    assert.equal(await (await sessionTo('n1', 'n2')).isGranted(), true);
  });
});

describe('a standby whose master is gone', { concurrency: false }, () => {
  test('shows its registry while its dead master holds a table of it locked (B7)', async () => {
    const locker = await clientOf('n1');
    await locker.query('begin; lock table pgkeeper.node_info, pgkeeper.events in access exclusive mode');
    await servers.master.query('checkpoint');
    await until('the lock is replayed', async () => {
      const rows = await servers
        .get('n2')
        .query(`select from pg_locks where mode = 'AccessExclusiveLock' and locktype = 'relation'`);
      return rows.length > 0;
    });
    servers.master.kill();
    const session = await sessionTo('n2', 'n2');
    const look = await session.answer({ kind: 'observe' });
    assert.equal(look.kind === 'observed' && look.observation.registry?.master, 'n1');
    assert.equal(await session.isGranted(), true);
  });

  test('is promoted though an old query holds up its replay (B6)', async () => {
    // A killed postmaster is in the way until somebody has taken notice of its end.
    await until('the master is up again', () => servers.master.start().then(() => true), 30_000, 200);
    await servers.master.query('create table t as select generate_series(1, 1000) as i');
    await servers.untilStreaming('n2');
    await servers.get('n2').changeSettings({ max_standby_streaming_delay: '-1' });
    const reader = await clientOf('n2');
    await reader.query('begin isolation level repeatable read; select count(*) from t');
    await servers.master.query('delete from t');
    await servers.master.query('vacuum t');
    const isBehind = async () => {
      const [row] = await servers
        .get('n2')
        .query<{ behind: boolean }>('select pg_last_wal_replay_lsn() < pg_last_wal_receive_lsn() as behind');
      return row?.behind;
    };
    await until('replay waits for the query', isBehind);
    servers.master.kill();
    assert.equal(await isBehind(), true);
    const session = await sessionTo('n2', 'n2');
    await session.answer({ kind: 'end-sessions' });
    await session.answer({ kind: 'promote', conninfo: 'fallback_application_name=pgkeeper:2' });
    const look = () => session.answer({ kind: 'observe', wait: { kind: 'writable' } });
    await until('it is writable', async () => {
      const answer = await look();
      return answer.kind === 'observed' && !answer.observation.inRecovery;
    });
  });
});
