/**
 * Synchronous replication off: what only the old master had may be lost (it is counted, not judged), but two masters never
 * acknowledge at the same time, except for the moment in which a frozen one wakes up.
 */
import { faultSuite, takenOver } from '../support/fault-suite.js';
import { guardsOf } from '../support/guards.js';
import { whyNoFirewall } from '../support/hosts.js';

faultSuite('synchronous replication off', { nodes: 3, syncNames: '' }, (step) => {
  step('sync off: master cut off from all, in silence', {}, async (scene) => {
    scene.strike();
    scene.hosts.isolate(scene.master.name);
    return takenOver(scene, ['master-suspected', 'master-ready', 'lease-lapsed']);
  });

  step(
    'sync off: master cut off from all, connections refused (TCP reset)',
    { quick: true, whyNot: whyNoFirewall() },
    async (scene) => {
      scene.strike();
      scene.hosts.isolate(scene.master.name, (a, b) => scene.hosts.refuse(a, b));
      return takenOver(scene, ['master-ready', 'lease-lapsed']);
    },
  );

  step('sync off: one way: nothing that the master sends arrives', {}, async (scene) => {
    scene.strike();
    for (const { name } of scene.standbys) scene.hosts.cutOneWay(scene.master.name, name);
    return takenOver(scene, ['master-ready', 'lease-lapsed']);
  });

  step('sync off: one way: nothing arrives at the master', {}, async (scene) => {
    scene.strike();
    for (const { name } of scene.standbys) scene.hosts.cutOneWay(name, scene.master.name);
    return takenOver(scene, ['master-ready', 'lease-lapsed']);
  });

  step('sync off: master frozen for 1 s: shorter than the lease', {}, async (scene) => {
    scene.strike();
    scene.freeze(scene.master);
    await scene.lasting(1000);
    return { master: 'same', codes: [] };
  });

  step('sync off: worker killed for good: the guard ends the server', { quick: true }, async (scene) => {
    scene.strike();
    await scene.master.worker.kill();
    return takenOver(scene, ['master-ready']);
  });

  step('sync off: worker stalled until the guard has ended the server', {}, async (scene) => {
    scene.strike();
    scene.master.worker.freeze();
    return takenOver(scene, ['master-ready']);
  });

  step('sync off: worker killed, and the host cut off', {}, async (scene) => {
    scene.strike();
    await scene.master.worker.kill();
    scene.hosts.isolate(scene.master.name);
    return takenOver(scene, ['master-ready']);
  });

  step('sync off: worker and guard stalled for 6 s', {}, async (scene) => {
    scene.strike();
    for (const pid of guardsOf(scene.master)) process.kill(pid, 'SIGSTOP');
    scene.master.worker.freeze();
    await scene.lasting(6000);
    return { master: 'either', codes: ['lease-lapsed'] };
  });

  step('sync off: server of the master crashes', {}, async (scene) => {
    scene.strike();
    scene.master.server.kill();
    return takenOver(scene, ['master-crashed', 'master-ready']);
  });

  step('sync off: master frozen until another one writes, and 2 s more', {}, async (scene) => {
    scene.strike();
    scene.freeze(scene.master);
    const expected = await takenOver(scene, ['master-suspected', 'master-ready', 'lease-lapsed']);
    // It wakes up with a commit in its hands, and ends as soon as its guard or worker has run.
    return { ...expected, mayOverlap: true };
  });
});
