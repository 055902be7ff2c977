/** A PostgreSQL server of its own that serves clusters as witness: nothing is installed there but a role. */

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { makeTestFolder } from '../../src/testbed/cluster.js';
import { freePort } from '../../src/testbed/free-port.js';
import { endEverythingIn } from '../../src/testbed/leftovers.js';
import { TestServer } from '../../src/testbed/server.js';
import { installation } from './failover-cluster.js';

const host = '127.0.0.1';
export const witnessRole = 'lends_votes';

export class Witness {
  readonly folder = makeTestFolder();
  readonly server: TestServer;

  private constructor(port: number) {
    this.server = new TestServer({ name: 'w', folder: this.folder, port, host, installation, settings: {} });
  }

  static async create(): Promise<Witness> {
    const witness = new Witness(await freePort(host));
    await witness.begin();
    return witness;
  }

  /** No superuser: what the documents say is enough. */
  async begin(): Promise<void> {
    await this.server.initialise();
    await this.server.start();
    await this.server.query(`create role ${witnessRole} login; grant pg_monitor to ${witnessRole};
      grant create on database postgres to ${witnessRole}`);
  }

  get conninfo(): string {
    return this.server.conninfo(witnessRole);
  }

  /** Another server, newly made, under the same address. */
  async replace(): Promise<void> {
    await this.server.stop();
    rmSync(this.server.dataDirectory, { recursive: true, force: true });
    await this.begin();
  }

  /** What it keeps of each cluster. */
  kept(): Promise<readonly { readonly epoch: string; readonly version: string; readonly ballot: string }[]> {
    return this.server.query('select epoch, version, ballot from pgkeeper_witness.kept order by changed_at');
  }

  async remove(): Promise<void> {
    await this.server.remove();
    endEverythingIn(this.folder);
    rmSync(join(this.folder), { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
}
