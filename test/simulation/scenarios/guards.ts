/** Hosts whose guard is gone as well: what the guard would do otherwise is not what a schedule is about. */
import type { Host } from '../host.js';

/** Both at once: nobody is left to end the server. */
export function killWorkerAndGuard(host: Host): void {
  host.killWorker();
  host.guard.die();
}

/** And it cannot be started again: the worker alone is left to end the server. */
export function withoutGuard(host: Host): void {
  host.guard.start = () => undefined;
  host.guard.die();
}
