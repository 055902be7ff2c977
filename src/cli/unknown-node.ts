/** A name on the command line that no node has: wrong usage, told alike by every command, with the names there are. */
import type { Registry } from '../core/types.js';
import { CommandFailure, exitCodes } from './exit-codes.js';

/** Null = no node is registered at all. */
export function unknownNode(registry: Registry | null, name: string): CommandFailure {
  const names = (registry?.nodes ?? []).filter(({ kind }) => kind === 'node').map((node) => node.name);
  return names.length === 0
    ? new CommandFailure(exitCodes.usage, `no node is registered as ${name}, nor any other`, [
        'On the master: pgkeeper add-node NAME CONNINFO',
      ])
    : new CommandFailure(exitCodes.usage, `no node is registered as ${name}; there are ${names.join(', ')}`);
}
