/** What `check` concludes where node_info and the row the workers decide by differ. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findingsOfCluster } from '../../src/cli/check/check-cluster.js';
import type { RegisteredNode } from '../../src/cli/server-look.js';
import { clusterOf } from '../support/cluster-looks.js';

/** Texts and mends about the registry when node_info has these rows. */
function foundIn(change: (rows: readonly RegisteredNode[]) => readonly RegisteredNode[]) {
  const cluster = clusterOf();
  return findingsOfCluster({ ...cluster, registered: change(cluster.registered) }, [], []).filter(
    ({ topic }) => topic === 'registry',
  );
}

function only(change: Parameters<typeof foundIn>[0]) {
  const found = foundIn(change);
  assert.equal(found.length, 1, JSON.stringify(found));
  const [finding = assert.fail()] = found;
  assert.equal(finding.level, 'problem');
  return finding;
}

const withMaster = (master: string | null) => (rows: readonly RegisteredNode[]) =>
  rows.map((row) => ({ ...row, is_master: row.name === master }));

test('a node_info that agrees is fine', () => {
  assert.deepEqual(
    foundIn((rows) => rows).map(({ level }) => level),
    ['ok'],
  );
});

test('a wrong is_master is a problem, with the two statements that mend it', () => {
  const wrong = only(withMaster('n2'));
  assert.match(wrong.text, /is_master at n2, but the master of epoch 4 is n1/);
  assert.match(
    wrong.mend ?? '',
    /SET pg_keeper\.edit_node_info = on; UPDATE .* is_master = false .* name <> 'n1'; UPDATE .* is_master = true WHERE name = 'n1';$/,
  );
  assert.match(only(withMaster(null)).text, /is_master at no node/);
});

test('a node that only one of the two has is a problem, a renamed one of both', () => {
  assert.match(only((rows) => rows.slice(0, 2)).text, /n3 in cluster_state only/);
  const renamed = only((rows) => rows.map((row) => (row.name === 'n3' ? { ...row, name: 'n9' } : row)));
  assert.match(renamed.text, /n9 in node_info only; n3 in cluster_state only/);
  assert.match(renamed.mend ?? '', /SET nodes = pgkeeper\.registry_json\(\)/);
  const renumbered = only((rows) => rows.map((row) => (row.name === 'n3' ? { ...row, seqno: 33 } : row)));
  assert.match(renumbered.text, /n3 in node_info only; n3 in cluster_state only/);
});

test('a master that is not in node_info is named', () => {
  const found = foundIn((rows) => rows.slice(1));
  assert.equal(
    found.find(({ node }) => node === 'n1')?.text,
    'is the master, and is not in pgkeeper.node_info',
  );
});
