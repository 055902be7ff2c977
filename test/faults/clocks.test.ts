/** Wall clocks that jump under server, worker and guard of a host. Monotonic clocks go on as they do on real hosts. */
import { faultSuite, takenOver } from '../support/fault-suite.js';
import { WallClocks, whyNoWallClocks } from '../support/wall-clocks.js';

const whyNot = whyNoWallClocks();
const clocks = whyNot === null ? new WallClocks() : null;
process.once('exit', () => clocks?.remove());

const hour = 3600;
const setClock = ({ name }: { readonly name: string }, seconds: number) => clocks?.set(name, seconds);

faultSuite(
  'clocks of three hosts',
  { nodes: 3, syncNames: 'ANY 1 (n1, n2, n3)', environmentOf: (name) => clocks?.environmentOf(name) ?? {} },
  (step) => {
    step('clock of the master one hour ahead', { quick: true, whyNot }, async (scene) => {
      scene.strike();
      setClock(scene.master, hour);
      await scene.lasting(5000);
      return { master: 'same', codes: [] };
    });

    step('clock of the master back by two hours', { whyNot }, async (scene) => {
      scene.strike();
      setClock(scene.master, -hour);
      await scene.lasting(5000);
      return { master: 'same', codes: [] };
    });

    step('clocks of both standbys one hour back', { whyNot }, async (scene) => {
      scene.strike();
      for (const node of scene.standbys) setClock(node, -hour);
      await scene.lasting(5000);
      return { master: 'same', codes: [] };
    });

    step('clocks of both standbys ahead by two hours, and the master crashes', { whyNot }, async (scene) => {
      scene.strike();
      for (const node of scene.standbys) setClock(node, hour);
      await scene.lasting(500);
      scene.master.server.kill();
      return takenOver(scene, ['master-crashed', 'master-ready']);
    });

    step('clocks of all hosts an hour apart, and the master is cut off', { whyNot }, async (scene) => {
      scene.strike();
      for (const [i, node] of scene.cluster.nodes.entries()) setClock(node, (i - 1) * hour);
      await scene.lasting(500);
      scene.hosts.isolate(scene.master.name);
      return takenOver(scene, ['master-suspected', 'master-ready', 'lease-lapsed']);
    });

    step(
      'master cut off, and a standby’s clock set back by an hour in the lease',
      { whyNot },
      async (scene) => {
        scene.strike();
        scene.hosts.isolate(scene.master.name);
        setClock(scene.standby(0), -2 * hour);
        return takenOver(scene, ['master-suspected', 'master-ready', 'lease-lapsed']);
      },
    );
  },
);
