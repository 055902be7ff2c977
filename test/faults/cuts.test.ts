/** Links of the master of three hosts cut, in silence and with refusals, both ways and one way. */
import type { TestNode } from '../../src/testbed/cluster.js';
import type { FaultScene } from '../support/fault-scene.js';
import { faultSuite, takenOver } from '../support/fault-suite.js';
import { whyNoFirewall } from '../support/hosts.js';

const others = ({ cluster }: FaultScene, node: TestNode) =>
  cluster.nodes.map(({ name }) => name).filter((name) => name !== node.name);

faultSuite('cuts of three hosts', { nodes: 3, syncNames: 'ANY 1 (n1, n2, n3)' }, (step) => {
  step('master cut off from all, in silence', {}, async (scene) => {
    scene.strike();
    scene.hosts.isolate(scene.master.name);
    return takenOver(scene, ['master-suspected', 'master-ready', 'lease-lapsed', 'server-retired']);
  });

  step(
    'master cut off from all, connections refused (TCP reset)',
    { quick: true, whyNot: whyNoFirewall() },
    async (scene) => {
      scene.strike();
      scene.hosts.isolate(scene.master.name, (a, b) => scene.hosts.refuse(a, b));
      return takenOver(scene, ['master-ready', 'lease-lapsed']);
    },
  );

  step('master cut off from all, no route (EHOSTUNREACH)', {}, async (scene) => {
    scene.strike();
    scene.hosts.isolate(scene.master.name, (a, b) => scene.hosts.withoutRoute(a, b, 'unreachable'));
    return takenOver(scene, ['master-suspected', 'master-ready', 'lease-lapsed']);
  });

  step('master cut off from all, prohibited locally (EACCES)', { quick: true }, async (scene) => {
    scene.strike();
    scene.hosts.isolate(scene.master.name, (a, b) => scene.hosts.withoutRoute(a, b, 'prohibit'));
    return takenOver(scene, ['master-suspected', 'master-ready', 'lease-lapsed']);
  });

  step('one way: nothing that the master sends arrives', {}, async (scene) => {
    scene.strike();
    for (const name of others(scene, scene.master)) scene.hosts.cutOneWay(scene.master.name, name);
    return takenOver(scene, ['master-suspected', 'master-ready', 'lease-lapsed']);
  });

  step('one way: nothing arrives at the master', {}, async (scene) => {
    scene.strike();
    for (const name of others(scene, scene.master)) scene.hosts.cutOneWay(name, scene.master.name);
    return takenOver(scene, ['master-suspected', 'master-ready', 'lease-lapsed']);
  });

  step('link between the master and one standby cut', {}, async (scene) => {
    scene.strike();
    scene.hosts.cut(scene.master.name, scene.standby(0).name);
    await scene.standby(0).worker.untilDecision('master-seen-by-peer', Date.now() - 1000);
    await scene.lasting(3000);
    return { master: 'same', codes: ['master-suspected', 'master-seen-by-peer'] };
  });

  step('link between the master and one standby refused', { whyNot: whyNoFirewall() }, async (scene) => {
    scene.strike();
    scene.hosts.refuse(scene.master.name, scene.standby(0).name);
    await scene.lasting(6000);
    return { master: 'same', codes: ['master-crashed', 'master-seen-by-peer'] };
  });

  step('one way: nothing that one standby sends arrives anywhere', {}, async (scene) => {
    const [mute] = scene.standbys;
    scene.strike();
    for (const name of others(scene, scene.standby(0))) scene.hosts.cutOneWay(mute?.name ?? '', name);
    await scene.lasting(6000);
    return { master: 'same', codes: [] };
  });

  step('link between the two standbys cut', {}, async (scene) => {
    scene.strike();
    scene.hosts.cut(scene.standby(0).name, scene.standby(1).name);
    await scene.lasting(6000);
    return { master: 'same', codes: [] };
  });
});
