/**
 * One worker per data directory. Two would fight for the same votes and start and stop the same server. On Linux the mark is
 * an abstract socket, which the kernel takes back however the process ends; elsewhere nothing is kept.
 */
import { createHash } from 'node:crypto';
import { existsSync, realpathSync } from 'node:fs';
import { createServer } from 'node:net';
import { basename, dirname, join } from 'node:path';

/** Also of a directory that is still to be made. */
function placeOf(dataDirectory: string): string {
  if (existsSync(dataDirectory)) return realpathSync(dataDirectory);
  return join(realpathSync(dirname(dataDirectory)), basename(dataDirectory));
}

/** False if another worker on this host has the directory. */
export function claimDataDirectory(dataDirectory: string): Promise<boolean> {
  if (process.platform !== 'linux') return Promise.resolve(true);
  const key = createHash('sha256').update(placeOf(dataDirectory)).digest('hex').slice(0, 32);
  return new Promise((resolve) => {
    const mark = createServer((socket) => socket.destroy());
    mark.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'EADDRINUSE'));
    mark.listen(`\0pgkeeper-worker-${key}`, () => {
      mark.unref();
      resolve(true);
    });
  });
}
