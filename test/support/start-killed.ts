/** Starts a server that was killed: where nobody reaps its postmaster, the number in its lock files still looks alive. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { TestServer } from '../../src/testbed/server.js';
import { until } from '../../src/testbed/until.js';

export async function startKilled(server: TestServer): Promise<void> {
  await until('it is dead', () => !server.isRunning());
  rmSync(join(server.dataDirectory, 'postmaster.pid'), { force: true });
  rmSync(join(server.folder, `.s.PGSQL.${server.port}.lock`), { force: true });
  await server.start();
}
