/** A master that was replaced, and has commits that nobody else has: what a rejoin must cope with. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';
import type { TestNode } from '../../src/testbed/cluster.js';
import { until } from '../../src/testbed/until.js';
import { pgkeeper } from './command-line.js';
import type { FailoverCluster } from './failover-cluster.js';
import { guardsOf } from './guards.js';
import { startKilled } from './start-killed.js';

/** The old master, stopped, without a worker, after `diverge` wrote to it; the others have another master. */
export async function deposedMaster(
  cluster: FailoverCluster,
  diverge: (client: pg.Client) => Promise<void>,
): Promise<{ old: TestNode; next: TestNode }> {
  const old = await cluster.master();
  await cluster.untilAllVote(old.name);
  assert.notEqual(await old.worker.kill(), 1);
  const since = performance.now();
  old.server.kill();
  const next = await cluster.untilTakenOver(old, since);
  await until('nobody but the old one is away', async () => {
    const status = await pgkeeper(['status', '--json', '-d', next.server.conninfo()]);
    return (JSON.parse(status.out) as { master: string }).master === next.name;
  });
  // Its guard would end the server that is started now.
  for (const pid of guardsOf(old)) process.kill(pid, 'SIGKILL');
  rmSync(join(old.server.dataDirectory, 'standby.signal'), { force: true });
  await startKilled(old.server);
  const client = await old.server.connect();
  await client.query('set synchronous_commit = local');
  await diverge(client);
  await client.end().catch(() => undefined);
  old.server.kill();
  await until('it is dead', () => !old.server.isRunning());
  return { old, next };
}
