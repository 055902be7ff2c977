/**
 * Servers of test clusters as copies of one that was made once: initdb, the registry and base copies would take most of the time
 * in which a cluster comes to be, and tests of their own are about those. So all such clusters have one system identifier.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { migrationsFolder } from '../../src/postgres/migrations.js';
import { type ClusterOptions, keeperRole, TestCluster } from '../../src/testbed/cluster.js';
import type { PostgresInstallation } from '../../src/testbed/find-postgres.js';
import { grantsFile } from '../../src/testbed/grants.js';
import type { TestServer } from '../../src/testbed/server.js';

/** Beside the compiled tests, for the next run too. */
const kept = fileURLToPath(new URL('../../prepared', import.meta.url));

/** A standby may not have less of these than the server that its data come from. */
const isBound =
  /^max_(connections|wal_senders|worker_processes|prepared_transactions|locks_per_transaction)$/;

/** Option of a cluster; none where the servers have to be made one by one. */
export function preparedServers(options: Partial<ClusterOptions> = {}): Pick<ClusterOptions, 'makeServers'> {
  const { release, tablespace, superuser, settings = {} } = options;
  const isPlain = release === undefined && tablespace === undefined && superuser === undefined;
  return isPlain && !Object.keys(settings).some((name) => isBound.test(name)) ? { makeServers } : {};
}

async function makeServers(cluster: TestCluster, names: readonly string[]): Promise<void> {
  const data = await preparedData(cluster.options.installation);
  const servers: TestServer[] = [];
  for (const name of names) servers.push((await cluster.addServer(name)).server);
  const [first, ...others] = servers;
  if (first === undefined) throw new Error('a cluster needs a node');
  for (const server of servers) copyFolder(data, server.dataDirectory);
  await first.writeSettings();
  for (const server of others) await server.becomeStandbyOf(first, keeperRole);
  await first.start();
  await Promise.all(others.map((server) => server.start()));
}

/** Data of a server that was stopped cleanly, with the registry and no node. */
async function preparedData(installation: PostgresInstallation): Promise<string> {
  const place = join(kept, `${installation.version}-${fingerprint(installation)}`);
  if (existsSync(place)) return place;
  const cluster = new TestCluster({ nodes: 1, installation, program: '' });
  try {
    const { server } = await cluster.addServer('prepared');
    await server.initialise();
    await server.start();
    await cluster.installRegistry(server);
    await server.stop();
    mkdirSync(kept, { recursive: true });
    const half = `${place}.${process.pid}`;
    copyFolder(server.dataDirectory, half);
    try {
      renameSync(half, place);
    } catch (error) {
      // Another test was faster.
      rmSync(half, { recursive: true, force: true });
      if (!existsSync(place)) throw error;
    }
    return place;
  } finally {
    await cluster.remove();
  }
}

/** Of whatever else the data come from. */
function fingerprint({ binDirectory }: PostgresInstallation): string {
  const migrations = migrationsFolder();
  const hash = createHash('sha256').update(binDirectory).update(readFileSync(grantsFile()));
  for (const name of readdirSync(migrations).sort()) hash.update(readFileSync(join(migrations, name)));
  return hash.digest('hex').slice(0, 12);
}

/** With owners, which Node.js would not copy. */
function copyFolder(from: string, to: string): void {
  execFileSync('cp', ['-a', `${from}/.`, to]);
}
