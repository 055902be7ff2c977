/** A server by its files and processes alone. */
import { createServerControl, type ServerControl } from './server-control.js';

/** For who marks or ends a server, and starts or stops it by no command of the user's. */
export function bareControl(dataDirectory: () => string): ServerControl {
  return createServerControl({
    dataDirectory,
    binDirectory: () => null,
    startCommand: () => '',
    stopCommand: () => '',
  });
}
