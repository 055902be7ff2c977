/** Standbys that restart, crash, lose a backend or stop replaying, alone and while the master dies. */

import { serverProcesses } from '../../src/process/processes.js';
import type { TestNode } from '../../src/testbed/cluster.js';
import { faultSuite, takenOver } from '../support/fault-suite.js';

function processOf(node: TestNode, title: RegExp): number {
  const found = serverProcesses(node.server.dataDirectory).find((one) => title.test(one.title));
  if (found === undefined) throw new Error(`${node.name} has no process ${title.source}`);
  return found.pid;
}

const startupOf = (node: TestNode) => processOf(node, /^postgres: .*\bstartup\b/);
/** A session of the client beside it. */
const backendOf = (node: TestNode) => processOf(node, /^postgres: .*\bpostgres postgres\b/);

const pauseReplay = (node: TestNode) => node.server.query('select pg_wal_replay_pause()');

faultSuite('standbys of three hosts', { nodes: 3, syncNames: 'ANY 1 (n1, n2, n3)' }, (step) => {
  step('a standby restarts', {}, async (scene) => {
    scene.strike();
    await scene.standby(0).server.restart();
    await scene.lasting(3000);
    return { master: 'same', codes: [] };
  });

  step('one standby restarts, the other one as soon as the first is back', {}, async (scene) => {
    scene.strike();
    for (const { server } of scene.standbys) await server.restart();
    await scene.lasting(3000);
    return { master: 'either', codes: [] };
  });

  step('a standby crashes', {}, async (scene) => {
    scene.strike();
    scene.standby(0).server.kill();
    await scene.lasting(3000);
    return { master: 'same', codes: ['server-crashed'] };
  });

  step('one backend of a standby is killed', {}, async (scene) => {
    scene.strike();
    process.kill(backendOf(scene.standby(0)), 'SIGKILL');
    await scene.lasting(3000);
    return { master: 'same', codes: [] };
  });

  step('one backend of each standby is killed', {}, async (scene) => {
    scene.strike();
    for (const node of scene.standbys) process.kill(backendOf(node), 'SIGKILL');
    await scene.lasting(3000);
    return { master: 'either', codes: [] };
  });

  step('one backend of the master is killed', {}, async (scene) => {
    scene.strike();
    process.kill(backendOf(scene.master), 'SIGKILL');
    await scene.lasting(3000);
    return { master: 'either', codes: [] };
  });

  step('replay paused on both standbys, and the master crashes', { quick: true }, async (scene) => {
    for (const node of scene.standbys) await pauseReplay(node);
    await scene.untilWriting();
    await scene.lasting(1000);
    scene.strike();
    scene.master.server.kill();
    return takenOver(scene, ['master-crashed', 'master-ready']);
  });

  step('replay paused on one standby, and the master is cut off', {}, async (scene) => {
    await pauseReplay(scene.standby(0));
    await scene.lasting(1000);
    scene.strike();
    scene.hosts.isolate(scene.master.name);
    return takenOver(scene, ['master-suspected', 'master-ready', 'lease-lapsed']);
  });

  step('startup process of one standby stopped, and the master crashes', {}, async (scene) => {
    const startup = startupOf(scene.standby(0));
    process.kill(startup, 'SIGSTOP');
    await scene.lasting(1000);
    scene.strike();
    scene.master.server.kill();
    // Whoever goes first; the old master may be back by the time the stopped one has given up.
    await scene.untilWriting();
    process.kill(startup, 'SIGCONT');
    return { master: 'either', codes: ['master-crashed', 'master-ready'] };
  });

  step(
    'startup processes of both standbys stopped for 8 s, and the master’s host dies',
    {},
    async (scene) => {
      const stopped = scene.standbys.map(startupOf);
      for (const pid of stopped) process.kill(pid, 'SIGSTOP');
      await scene.lasting(1000);
      scene.strike();
      await scene.killAll(scene.master);
      await scene.lasting(8000);
      for (const pid of stopped) process.kill(pid, 'SIGCONT');
      return takenOver(scene, ['master-ready']);
    },
  );
});
