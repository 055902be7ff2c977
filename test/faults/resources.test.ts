/** What runs out on a host: space on the disk of the data directory, connections of the server. */
import { execFileSync } from 'node:child_process';
import { chownSync, mkdirSync, rmSync, statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import type { TestNode } from '../../src/testbed/cluster.js';
import { faultSuite, takenOver } from '../support/fault-suite.js';

const names = ['n1', 'n2', 'n3'];
const diskMb = 500;

/** Every data directory on a small disk of its own. */
function makeDisks(folder: string): void {
  const { uid, gid } = statSync(folder);
  for (const name of names) {
    for (const path of [join(folder, name), join(folder, name, 'data')]) {
      mkdirSync(path);
      chownSync(path, uid, gid);
    }
    const options = `size=${diskMb}m,uid=${uid},gid=${gid},mode=700`;
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'none', join(folder, name, 'data')]);
  }
}

function removeDisks(folder: string): void {
  for (const name of names) {
    try {
      execFileSync('umount', ['-l', join(folder, name, 'data')], { stdio: 'pipe' });
    } catch {
      // Never mounted.
    }
  }
}

const ballastOf = (node: TestNode) => join(node.server.dataDirectory, 'ballast');

/** To the last block: what the server takes meanwhile is left out of the next try. */
function fillDisk(node: TestNode): void {
  for (let tries = 0; ; tries++) {
    const { bavail, bsize } = statfsSync(node.server.dataDirectory);
    try {
      execFileSync('fallocate', ['-l', String(bavail * bsize), ballastOf(node)], { stdio: 'pipe' });
      return;
    } catch (error) {
      if (tries === 10) throw error;
    }
  }
}

function freeDisk(node: TestNode): void {
  rmSync(ballastOf(node), { force: true });
}

/** An ordinary role, on every server that follows as soon as a row written after it is acknowledged. */
async function admitCrowd(master: TestNode): Promise<void> {
  const [known] = await master.server.query(`select from pg_roles where rolname = 'crowd'`);
  if (known === undefined) await master.server.query('create role crowd login');
}

/** Takes every connection that an ordinary role may have, and every one that becomes free, until it is ended. */
class Crowd {
  readonly #node: TestNode;
  readonly #clients = new Set<pg.Client>();
  #over = false;
  #done: Promise<void> = Promise.resolve();

  constructor(node: TestNode) {
    this.#node = node;
  }

  /** Resolves when the server has refused one. */
  start(): Promise<void> {
    return new Promise((resolve) => {
      this.#done = this.#push(resolve);
    });
  }

  async #push(full: () => void): Promise<void> {
    while (!this.#over) {
      const { host, port } = this.#node.server;
      const client = new pg.Client({
        host,
        port,
        user: 'crowd',
        database: 'postgres',
        connectionTimeoutMillis: 500,
      });
      client.on('error', () => this.#clients.delete(client));
      try {
        await client.connect();
        this.#clients.add(client);
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === '53300') full();
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }

  async end(): Promise<void> {
    this.#over = true;
    await this.#done;
    for (const client of this.#clients) client.end().catch(() => undefined);
  }
}

faultSuite(
  'what runs out on three hosts',
  {
    nodes: 3,
    syncNames: 'ANY 1 (n1, n2, n3)',
    settings: { wal_keep_size: '64MB', max_wal_size: '96MB', min_wal_size: '32MB', max_connections: '30' },
    prepare: makeDisks,
    dismantle: removeDisks,
  },
  (step) => {
    step('disk of the master full for 6 s: tables cannot grow', { quick: true }, async (scene) => {
      scene.strike();
      fillDisk(scene.master);
      await scene.lasting(6000);
      freeDisk(scene.master);
      await scene.untilWriting();
      return { master: 'same', codes: [] };
    });

    step('disk of the master full, and its WAL needs a new file: the server panics', {}, async (scene) => {
      scene.strike();
      fillDisk(scene.master);
      // Finished segments are used up one by one until there is none to write to.
      for (let i = 0; i < 30; i++) if (!(await switchesWal(scene.master))) break;
      const expected = await takenOver(scene, ['server-crashed', 'master-ready']);
      await scene.lasting(3000);
      freeDisk(scene.master);
      return expected;
    });

    step('disk of a standby full for 8 s', {}, async (scene) => {
      scene.strike();
      fillDisk(scene.standby(0));
      // Fewer than wal_keep_size holds: else it would need a fresh copy by hand.
      for (let i = 0; i < 3; i++) await switchesWal(scene.master);
      await scene.lasting(8000);
      freeDisk(scene.standby(0));
      return { master: 'same', codes: [] };
    });

    step('connections of the master used up for 8 s', {}, async (scene) => {
      await admitCrowd(scene.master);
      const crowd = new Crowd(scene.master);
      scene.strike();
      await crowd.start();
      await scene.lasting(8000);
      await crowd.end();
      return { master: 'same', codes: [] };
    });

    step('connections of all servers used up, and the master crashes', { quick: true }, async (scene) => {
      await admitCrowd(scene.master);
      const crowds = scene.cluster.nodes.map((node) => new Crowd(node));
      await Promise.all(crowds.map((crowd) => crowd.start()));
      scene.strike();
      scene.master.server.kill();
      const expected = await takenOver(scene, ['master-crashed', 'master-ready']).finally(() =>
        Promise.all(crowds.map((crowd) => crowd.end())),
      );
      return expected;
    });

    step('connections of the master used up, and its worker is started again', {}, async (scene) => {
      await admitCrowd(scene.master);
      const crowd = new Crowd(scene.master);
      await crowd.start();
      scene.strike();
      await scene.master.worker.kill();
      scene.master.worker.start();
      await scene.lasting(8000).finally(() => crowd.end());
      return { master: 'either', codes: [] };
    });
  },
);

async function switchesWal(node: TestNode): Promise<boolean> {
  try {
    await node.server.query('select pg_logical_emit_message(false, $1, $1), pg_switch_wal()', ['x']);
    return true;
  } catch {
    return false;
  }
}
