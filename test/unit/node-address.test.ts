/** What stands in for a host or port that a node's conninfo does not name. */
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { addressOf } from '../../src/core/watch/suspicion.js';
import { defaultSocketFolder, wholeConninfo } from '../../src/postgres/node-address.js';
import { type RegistryJson, registryOf } from '../../src/postgres/observation.js';

afterEach(() => {
  for (const name of ['PGHOST', 'PGPORT']) delete process.env[name];
});

test('a conninfo without host or port gets those that libpq takes, whatever the environment of the reader says', () => {
  process.env['PGHOST'] = 'elsewhere';
  process.env['PGPORT'] = '6000';
  const folder = defaultSocketFolder('6444');
  for (const conninfo of ['port=6444 user=u', "host='' port=6444 user=u", 'postgresql://u@:6444'])
    assert.deepEqual(addressOf(wholeConninfo(conninfo)), { host: folder, port: 6444 }, conninfo);
  for (const conninfo of [
    'host=10.0.0.1 user=u',
    "host=10.0.0.1 port='' user=u",
    'postgresql://u@10.0.0.1/db',
  ])
    assert.match(wholeConninfo(conninfo), /\bport=5432\b/, conninfo);
});

test('one that says both, or cannot be read, or names a service, stays as it is', () => {
  for (const conninfo of [
    'host=h port=1',
    'hostaddr=10.0.0.1 port=1',
    'postgresql://u:p%20w@[::1]:1/db',
    'service=cluster',
    'host=h port',
  ])
    assert.equal(wholeConninfo(conninfo), conninfo);
});

test('every node of a registry is read so, and its password with it', () => {
  const node = { name: 'n1', kind: 'node', seqno: 1, database: 'db' } as const;
  const conninfo = "port=6444 password='a \\' b'";
  const json = { systemIdentifier: '1', nodes: [{ ...node, conninfo }], voters: [{ ...node, conninfo }] };
  const registry = registryOf(json as unknown as RegistryJson);
  const [read] = registry?.nodes ?? [];
  assert.equal(read?.conninfo, `${conninfo} host=${defaultSocketFolder('6444')}`);
  assert.deepEqual(registry?.voters, registry?.nodes);
});
