/**
 * Servers laid out as Debian does it, in a folder of the test: configuration under etc/VERSION/NAME with an include_dir, data
 * elsewhere, started and stopped by the real pg_ctlcluster.
 */
import { createHash } from 'node:crypto';
import {
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describeFailure, runProgram } from '../../src/process/run-command.js';
import type { PostgresInstallation } from '../../src/testbed/find-postgres.js';
import type { TestServer } from '../../src/testbed/server.js';

const tool = '/usr/bin/pg_ctlcluster';
const boundMs = 60_000;

/** Null where a Debian layout can be played here. */
export function whyNoDebian(installation: PostgresInstallation): string | null {
  if (!existsSync(tool)) return 'no pg_ctlcluster (apt-get install postgresql-common)';
  if (!installation.binDirectory.startsWith('/usr/lib/postgresql/')) return "not the system's PostgreSQL";
  return null;
}

export class DebianLayout {
  readonly root: string;
  readonly #version: string;

  constructor(folder: string, installation: PostgresInstallation) {
    this.root = join(folder, 'etc');
    this.#version = String(installation.major);
    this.#make(this.root, folder);
    this.#make(join(this.root, this.#version), folder);
  }

  configuration(server: TestServer): string {
    return join(this.root, this.#version, server.name);
  }

  /** An initialised or copied server's configuration moves out of its data directory; nothing of pgkeeper is in it. */
  place(server: TestServer): void {
    const { dataDirectory: data, folder } = server;
    const etc = this.configuration(server);
    this.#make(etc, folder);
    this.#make(join(etc, 'conf.d'), folder);
    const write = (name: string, text: string) => this.#own(join(etc, name), folder, text);
    write(
      'postgresql.conf',
      [
        `data_directory = '${data}'`,
        `hba_file = '${join(etc, 'pg_hba.conf')}'`,
        `ident_file = '${join(etc, 'pg_ident.conf')}'`,
        `include_dir = 'conf.d'`,
        '',
      ].join('\n'),
    );
    const settings = readFileSync(join(data, 'testbed.conf'), 'utf8').split('\n');
    write('conf.d/site.conf', settings.filter((line) => !line.startsWith('pg_keeper.')).join('\n'));
    write('pg_hba.conf', 'local all all trust\nhost all all all trust\nhost replication all all trust\n');
    write('pg_ident.conf', '');
    write('start.conf', 'manual\n');
    symlinkSync(join(folder, 'postgres.log'), join(etc, 'log'));
    for (const name of ['postgresql.conf', 'pg_hba.conf', 'pg_ident.conf', 'testbed.conf'])
      rmSync(join(data, name), { force: true });
  }

  command(server: TestServer, action: 'start' | 'stop'): string {
    const mode = action === 'stop' ? ' -m fast' : '';
    return `PG_CLUSTER_CONF_ROOT=${this.root} ${tool} --skip-systemctl-redirect${mode} ${this.#version} ${server.name} ${action}`;
  }

  async start(server: TestServer): Promise<void> {
    const result = await runProgram('/bin/sh', ['-c', this.command(server, 'start')], {
      deadlineMs: boundMs,
    });
    if (!result.ok) throw new Error(describeFailure('pg_ctlcluster', result, boundMs) + server.lastLog());
  }

  /** Of every file of the configuration of every server. */
  fingerprint(): string {
    const hash = createHash('sha256');
    for (const name of readdirSync(this.root, { recursive: true, encoding: 'utf8' }).sort()) {
      const path = join(this.root, name);
      const isFile = statSync(path, { throwIfNoEntry: false })?.isFile() === true && !name.endsWith('/log');
      hash.update(`${name}\0`);
      if (isFile) hash.update(readFileSync(path));
    }
    return hash.digest('hex');
  }

  #make(path: string, like: string): void {
    mkdirSync(path, { mode: 0o755 });
    this.#chown(path, like);
  }

  #own(path: string, like: string, text: string): void {
    writeFileSync(path, text);
    this.#chown(path, like);
  }

  #chown(path: string, like: string): void {
    const { uid, gid } = statSync(like);
    if (process.getuid?.() === 0) chownSync(path, uid, gid);
  }
}
