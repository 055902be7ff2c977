/** The worker of the master killed, stalled, restarted, with its guard and without. */
import { faultSuite, takenOver } from '../support/fault-suite.js';
import { guardsOf } from '../support/guards.js';

function signalGuards(
  scene: { readonly master: Parameters<typeof guardsOf>[0] },
  signal: NodeJS.Signals,
): void {
  for (const pid of guardsOf(scene.master)) process.kill(pid, signal);
}

faultSuite('worker of the master', { nodes: 3, syncNames: 'ANY 1 (n1, n2, n3)' }, (step) => {
  step('worker killed and started again at once', {}, async (scene) => {
    scene.strike();
    await scene.master.worker.kill();
    scene.master.worker.start();
    await scene.lasting(3000);
    return { master: 'same', codes: ['lease-kept'] };
  });

  step('worker killed for good: the guard ends the server', {}, async (scene) => {
    scene.strike();
    await scene.master.worker.kill();
    return takenOver(scene, ['master-ready']);
  });

  step('worker and guard killed, no worker for 6 s', {}, async (scene) => {
    scene.strike();
    signalGuards(scene, 'SIGKILL');
    await scene.master.worker.kill();
    await scene.lasting(6000);
    return { master: 'same', codes: ['lease-kept'] };
  });

  step('worker and guard killed, and the host cut off', { quick: true }, async (scene) => {
    scene.strike();
    signalGuards(scene, 'SIGKILL');
    await scene.master.worker.kill();
    scene.hosts.isolate(scene.master.name);
    const expected = await takenOver(scene, ['master-suspected', 'master-ready']);
    // Its server is reached by all again, still writable, and nobody beside it fences it.
    scene.hosts.heal();
    await scene.lasting(4000);
    return expected;
  });

  step('worker and guard killed, then the server', {}, async (scene) => {
    scene.strike();
    await scene.killAll(scene.master);
    return takenOver(scene, ['master-ready']);
  });

  step('worker stalled for 1 s: shorter than the lease', {}, async (scene) => {
    scene.strike();
    scene.master.worker.freeze();
    await scene.lasting(1000);
    scene.master.worker.thaw();
    await scene.lasting(2000);
    return { master: 'same', codes: [] };
  });

  step('worker stalled until the guard has ended the server', {}, async (scene) => {
    scene.strike();
    scene.master.worker.freeze();
    return takenOver(scene, ['master-ready']);
  });

  step('worker and guard stalled for 6 s', {}, async (scene) => {
    scene.strike();
    signalGuards(scene, 'SIGSTOP');
    scene.master.worker.freeze();
    await scene.lasting(6000);
    return { master: 'either', codes: ['lease-lapsed'] };
  });

  step('workers of all three hosts killed at once, started again after 1 s', {}, async (scene) => {
    scene.strike();
    await Promise.all(scene.cluster.nodes.map(({ worker }) => worker.kill()));
    await scene.lasting(1000);
    for (const { worker } of scene.cluster.nodes) worker.start();
    await scene.lasting(2000);
    return { master: 'same', codes: ['lease-kept'] };
  });

  step('workers of both standbys killed, and the master crashes', {}, async (scene) => {
    scene.strike();
    for (const { worker } of scene.standbys) await worker.kill();
    scene.master.server.kill();
    await scene.lasting(3000);
    return { master: 'either', codes: ['server-crashed'] };
  });
});
