/** Hosts that stand still: every process of server, worker and guard stopped by SIGSTOP, and continued later. */
import type { TestNode } from '../../src/testbed/cluster.js';
import type { FaultScene } from '../support/fault-scene.js';
import { type Expected, faultSuite, takenOver } from '../support/fault-suite.js';

async function frozenFor(scene: FaultScene, nodes: readonly TestNode[], ms: number): Promise<void> {
  scene.strike();
  for (const node of nodes) scene.freeze(node);
  await scene.lasting(ms);
  for (const node of nodes) scene.thaw(node);
}

const unchanged: Expected = { master: 'same', codes: [] };

faultSuite('freezes on three hosts', { nodes: 3, syncNames: 'ANY 1 (n1, n2, n3)' }, (step) => {
  step('master frozen for 1 s: shorter than the lease', {}, async (scene) => {
    await frozenFor(scene, [scene.master], 1000);
    return unchanged;
  });

  step('master frozen for 2.5 s: longer than the lease, shorter than T', {}, async (scene) => {
    await frozenFor(scene, [scene.master], 2500);
    return { master: 'either', codes: ['lease-lapsed'] };
  });

  step('master frozen until another one writes, and 2 s more', { quick: true }, async (scene) => {
    scene.strike();
    scene.freeze(scene.master);
    return takenOver(scene, ['master-suspected', 'master-ready', 'lease-lapsed']);
  });

  step('the same; its server wakes up first, its worker and guard 1 s later', {}, async (scene) => {
    scene.strike();
    scene.freeze(scene.master);
    const expected = await takenOver(scene, ['master-ready']);
    scene.master.server.thaw();
    await scene.lasting(1000);
    return expected;
  });

  step('server of the master frozen alone, its worker sees it', {}, async (scene) => {
    scene.strike();
    scene.master.server.freeze();
    return takenOver(scene, ['server-frozen', 'master-ready']);
  });

  step('both standbys frozen for 1 s', {}, async (scene) => {
    await frozenFor(scene, scene.standbys, 1000);
    return unchanged;
  });

  step('one standby frozen for 6 s', {}, async (scene) => {
    await frozenFor(scene, [scene.standby(0)], 6000);
    return { master: 'same', codes: ['node-lost'] };
  });

  step('both standbys frozen for 6 s', {}, async (scene) => {
    await frozenFor(scene, scene.standbys, 6000);
    return { master: 'either', codes: ['lease-lapsed'] };
  });

  step('all three hosts frozen for 6 s', {}, async (scene) => {
    await frozenFor(scene, scene.cluster.nodes, 6000);
    return { master: 'either', codes: [] };
  });

  step(
    'master frozen, and again at once when it has followed the next one for a moment',
    {},
    async (scene) => {
      const { master } = scene;
      scene.strike();
      scene.freeze(master);
      const expected = await takenOver(scene, ['master-ready']);
      scene.thaw(master);
      await scene.lasting(300);
      scene.freeze(master);
      await scene.lasting(3000);
      return expected;
    },
  );
});
