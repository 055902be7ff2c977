/** Which servers a boot of their host may turn into standbys: by the registry, and by the mark in the data directory. */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseLsn } from '../../src/core/lsn.js';
import { newKeeper } from '../../src/core/new-keeper.js';
import { comesBackFenced } from '../../src/core/plan.js';
import { forgetBoot, keptInBoot, rememberBoot } from '../../src/process/boot-mark.js';
import { look, rowOf, settingsOfN1 } from '../support/core-state.js';

test('a node comes back fenced, unless it is in maintenance, of priority 0, removed, or says nothing yet', () => {
  const k = newKeeper(settingsOfN1, 0);
  assert.equal(comesBackFenced(k), false, 'no registry');
  const row = rowOf(3, 'n1');
  k.registry = row;
  assert.equal(comesBackFenced(k), null, 'its server has not told its priority');
  k.own.obs = look({ inRecovery: false, received: parseLsn('0/5000000'), registry: row });
  assert.equal(comesBackFenced(k), true);
  const planned = (plan: object) =>
    row.nodes.map((node) => (node.name === 'n1' ? { ...node, ...plan } : node));
  for (const plan of [{ maintenance: true }, { priority: 0 }]) {
    k.registry = { ...row, nodes: planned(plan) };
    assert.equal(comesBackFenced(k), false, JSON.stringify(plan));
  }
  k.registry = { ...row, nodes: row.nodes.filter(({ name }) => name !== 'n1') };
  assert.equal(comesBackFenced(k), false, 'removed');
});

test('the mark counts in a later boot of this machine, for the data at this place', {
  skip: process.platform === 'linux' ? false : 'it needs Linux',
}, () => {
  const folder = mkdtempSync(join(tmpdir(), 'pgkeeper-boot-'));
  try {
    const [data, copy] = [join(folder, 'data'), join(folder, 'copy')];
    const mark = join(data, 'pgkeeper.boot');
    const change = (changes: object) =>
      writeFileSync(mark, JSON.stringify({ ...JSON.parse(readFileSync(mark, 'utf8')), ...changes }));
    assert.equal(keptInBoot(folder), 'none', 'there is none');
    mkdirSync(data);
    rememberBoot(data);
    assert.equal(keptInBoot(data), 'this');
    change({ boot: 'another' });
    assert.equal(keptInBoot(data), 'earlier');
    cpSync(data, copy, { recursive: true });
    assert.equal(keptInBoot(copy), 'none', 'a copy elsewhere is another server');
    change({ machine: 'another' });
    assert.equal(keptInBoot(data), 'none', 'of another machine');
    writeFileSync(mark, 'half a ma');
    assert.equal(keptInBoot(data), 'none', 'unreadable');
    rememberBoot(data);
    forgetBoot(data);
    forgetBoot(data);
    assert.equal(keptInBoot(data), 'none', 'forgotten');
  } finally {
    rmSync(folder, { recursive: true });
  }
});
