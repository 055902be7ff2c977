/** Two things go wrong at once. */
import { until } from '../../src/testbed/until.js';
import { faultSuite, takenOver } from '../support/fault-suite.js';

faultSuite('two faults at once', { nodes: 3, syncNames: 'ANY 1 (n1, n2, n3)' }, (step) => {
  step('master’s host dead for 8 s, and the link between the standbys cut', {}, async (scene) => {
    scene.strike();
    await scene.killAll(scene.master);
    scene.hosts.cut(scene.standby(0).name, scene.standby(1).name);
    await scene.lasting(8000);
    scene.hosts.heal();
    return takenOver(scene, ['no-majority', 'master-ready']);
  });

  step('server of the master crashed, and the link between the standbys cut', {}, async (scene) => {
    scene.strike();
    scene.master.server.kill();
    scene.hosts.cut(scene.standby(0).name, scene.standby(1).name);
    await scene.untilWriting();
    await scene.lasting(2000);
    return { master: 'either', codes: ['master-crashed', 'master-ready'] };
  });

  step('master frozen while a standby restarts', {}, async (scene) => {
    scene.strike();
    scene.freeze(scene.master);
    await scene.standby(0).server.restart();
    return takenOver(scene, ['master-ready']);
  });

  step('master and a standby frozen, the standby for 6 s', {}, async (scene) => {
    scene.strike();
    scene.freeze(scene.master);
    scene.freeze(scene.standby(0));
    await scene.lasting(6000);
    scene.thaw(scene.standby(0));
    return takenOver(scene, ['no-majority', 'master-ready']);
  });

  step('master cut off, and the worker of a standby dead', {}, async (scene) => {
    scene.strike();
    await scene.standby(0).worker.kill();
    scene.hosts.isolate(scene.master.name);
    return takenOver(scene, ['master-suspected', 'master-ready']);
  });

  step('master cut off, and a standby crashes in the election', {}, async (scene) => {
    scene.strike();
    scene.hosts.isolate(scene.master.name);
    const isElecting = () => scene.decided('votes-held') > 0;
    await until('somebody holds a majority', isElecting, 30_000, 2);
    scene.standby(0).server.kill();
    return takenOver(scene, ['master-suspected', 'master-ready']);
  });

  step('the next master crashes as soon as it writes', { quick: true }, async (scene) => {
    scene.strike();
    scene.master.server.kill();
    const next = await scene.untilTakenOver();
    next.server.kill();
    await scene.untilWriting();
    await scene.lasting(2000);
    return { master: 'either', codes: ['server-crashed', 'master-ready'] };
  });

  step('the next master dies between promotion and the first row', {}, async (scene) => {
    scene.strike();
    scene.master.server.kill();
    const promoted = await until(
      'somebody is promoted',
      () =>
        scene.standbys.find(({ worker }) => worker.decisions().at(-1)?.reason === 'promoted') ??
        (scene.decided('master-ready') > 0 ? scene.standby(0) : null),
      30_000,
      1,
    );
    await scene.killAll(promoted);
    await scene.lasting(3000);
    promoted.worker.start();
    await scene.untilWriting();
    return { master: 'either', codes: ['server-crashed', 'master-ready'] };
  });

  step('servers of all three hosts crash at once', {}, async (scene) => {
    scene.strike();
    for (const { server } of scene.cluster.nodes) server.kill();
    await scene.untilWriting();
    return { master: 'either', codes: ['server-crashed'] };
  });

  step('power cut on all three hosts: workers and servers start again after 3 s', {}, async (scene) => {
    scene.strike();
    await Promise.all(scene.cluster.nodes.map((node) => scene.killAll(node)));
    await scene.lasting(3000);
    for (const { server } of scene.cluster.nodes) await server.start();
    for (const { worker } of scene.cluster.nodes) worker.start();
    await scene.untilWriting();
    return { master: 'either', codes: [] };
  });
});
