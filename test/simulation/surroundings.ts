/** What a modelled server knows of the world around it. */
import type { Registry } from '../../src/core/types.js';
import type { Network } from './network.js';
import type { Pool } from './pools-model.js';
import type { WalSender } from './replication.js';
import type { Server } from './server.js';
import type { Branch } from './wal.js';
import type { World } from './world.js';

/** What the checkers want to hear of a server. */
export interface ServerWatcher {
  flushed(server: Server): void;
  rowWritten(server: Server): void;
  /** A witness has flushed a row. */
  kept(server: Server, row: Registry): void;
  acknowledged(server: Server, lsn: number, by: WalSender | null): void;
  promoted(server: Server): void;
  merged(server: Server, why: string): void;
}

export interface Surroundings {
  readonly world: World;
  readonly network: Network;
  readonly watcher: ServerWatcher;
  readonly pool: Pool;
  serverNamed(name: string): Server | undefined;
  newBranch(tli: number, parent: Branch | null, forkLsn: number, writer: string): Branch;
  /** is_nextmaster and is_sync as last written on a branch. */
  readonly flags: Map<Branch, string>;
  /** It takes writes from now on. */
  becameWritable(server: Server): void;
  /** NOTIFY pgkeeper. */
  notify(server: Server): void;
}
