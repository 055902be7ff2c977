/** Servers that let the role of the workers in over TLS only: sessions of workers, replication and indirect polling, then a failover. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chownSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { withKeywords } from '../../src/core/conninfo.js';
import { keeperRole, makeTestFolder, type TestNode } from '../../src/testbed/cluster.js';
import { until } from '../../src/testbed/until.js';
import { FailoverCluster, installation, stepsOn } from '../support/failover-cluster.js';
import { skipLoudly } from '../support/skip.js';

const host = '127.0.0.1';

function whyNoTls(): string | null {
  // What verifies an address looks for it among a certificate's names since then.
  if (installation.major < 15) return 'libpq before 15 compares no addresses in certificates';
  try {
    execFileSync('openssl', ['version'], { stdio: 'pipe' });
    return null;
  } catch {
    return 'openssl is missing';
  }
}

const why = whyNoTls();

test('servers with TLS can be made here', (context) => {
  if (why !== null) skipLoudly(context, why);
});

/** Signed by itself, and its own root. */
function makeCertificate(
  folder: string,
  name: string,
): { readonly certificate: string; readonly key: string } {
  const [certificate, key] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)];
  const what = `-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=${host}`;
  const more = ['-addext', `subjectAltName=IP:${host}`, '-keyout', key, '-out', certificate];
  execFileSync('openssl', ['req', ...what.split(' '), ...more], { stdio: 'pipe' });
  const { uid, gid } = statSync(folder);
  for (const file of [certificate, key]) if (process.getuid?.() === 0) chownSync(file, uid, gid);
  return { certificate, key };
}

describe('nodes that take TLS only', { concurrency: false, skip: why ?? false }, () => {
  const folder = makeTestFolder();
  let three: FailoverCluster;

  before(async () => {
    const { certificate, key } = makeCertificate(folder, 'server');
    three = await FailoverCluster.create({
      nodes: 3,
      syncNames: 'ANY 1 (n1, n2, n3)',
      settings: { ssl: 'on', ssl_cert_file: certificate, ssl_key_file: key },
      keywordsOf: (name) =>
        name === 'n1' ? { sslmode: 'require' } : { sslmode: 'verify-full', sslrootcert: certificate },
    });
    for (const { server } of three.cluster.nodes) {
      const rules = join(server.dataDirectory, 'pg_hba.conf');
      const reject = ['all', 'replication'].map((what) => `hostnossl ${what} ${keeperRole} all reject\n`);
      writeFileSync(rules, reject.join('') + readFileSync(rules, 'utf8'));
      await server.query('select pg_reload_conf()');
    }
  });

  after(async () => {
    await three?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  const step = stepsOn(() => three);

  /** Every session of the workers' role that came over the network, WAL senders too; the names are what they call themselves. */
  async function assertEncrypted(master: TestNode): Promise<void> {
    for (const { name, server } of three.cluster.nodes) {
      const rows = await server.query<{ application: string; ssl: boolean }>(
        `select a.application_name as application, s.ssl from pg_stat_activity a join pg_stat_ssl s using (pid)
         where a.usename = $1 and a.client_addr is not null`,
        [keeperRole],
      );
      assert.ok(rows.length > 0, `the workers have sessions on ${name}`);
      const plain = rows.filter(({ ssl }) => !ssl);
      assert.deepEqual(plain, [], `plain sessions on ${name}`);
      const streams = rows.filter(({ application }) => /^n[123]$/.test(application));
      assert.equal(streams.length, name === master.name ? 2 : 0, `who streams from ${name}`);
    }
  }

  const polls = async (from: TestNode, conninfo: string) => {
    const [row] = await from.server.query<{ sees: boolean }>(
      'select pgkeeper.indirect_polling($1, 5000) as sees',
      [conninfo],
    );
    return row?.sees;
  };

  step('workers, replication and polling are encrypted, and nothing plain is let in', async () => {
    const master = await three.master();
    await three.untilAllVote(master.name);
    await assertEncrypted(master);
    await assert.rejects(master.server.connect(keeperRole), /no encryption/);
    const to = three.node('n2').server.conninfo(keeperRole);
    const from = three.node('n3');
    assert.equal(await polls(from, to), true);
    assert.equal(await polls(from, withKeywords(to, { sslmode: 'disable', sslrootcert: null })), false);
    const { certificate } = makeCertificate(folder, 'another');
    assert.equal(await polls(from, withKeywords(to, { sslrootcert: certificate })), false);
  });

  step('a failover and the way back are so, too, and lose nothing', async () => {
    const old = await three.master();
    const since = performance.now();
    const next = await three.crash(old);
    await three.untilAllVote(next.name);
    await three.assertNothingLost(next);
    three.assertNoOverlap(since);
    await until('sessions of before are gone', async () => {
      const rows = await next.server.query(`select from pg_stat_replication where state = 'streaming'`);
      return rows.length === 2;
    });
    await assertEncrypted(next);
  });
});
