/** The guards that run beside the servers of a testbed. */

import { readdirSync, readFileSync } from 'node:fs';
import type { TestNode } from '../../src/testbed/cluster.js';

/** Pids of the guards of that node's data directory. */
export function guardsOf(node: TestNode): readonly number[] {
  return readdirSync('/proc').flatMap((entry) => {
    try {
      const line = /^\d+$/.test(entry) ? readFileSync(`/proc/${entry}/cmdline`, 'utf8') : '';
      return line.includes('(guard)') &&
        readFileSync(`/proc/${entry}/environ`, 'utf8').includes(`TESTBED_NODE=${node.server.folder}`)
        ? [Number(entry)]
        : [];
    } catch {
      return [];
    }
  });
}

/** Server, worker and guard end at once, as if the host had lost its power. */
export async function losePower(node: TestNode): Promise<void> {
  for (const pid of guardsOf(node)) process.kill(pid, 'SIGKILL');
  node.worker.killNow();
  node.server.kill();
  await node.worker.kill();
}
