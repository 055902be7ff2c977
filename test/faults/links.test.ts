/** Links that are there, and bad: flapping, slow, losing packets. */
import type { FaultScene } from '../support/fault-scene.js';
import { faultSuite, takenOver } from '../support/fault-suite.js';
import { type WireQuality, whyNoSlowLinks } from '../support/slow-link.js';

async function flap(scene: FaultScene, host: string, timesMs: readonly number[]): Promise<void> {
  scene.strike();
  for (const [i, ms] of timesMs.entries()) {
    if (i % 2 === 0) scene.hosts.isolate(host);
    else scene.hosts.heal();
    await scene.lasting(ms);
  }
}

async function slowDown(scene: FaultScene, quality: WireQuality): Promise<void> {
  for (const { name } of scene.cluster.nodes) await scene.hosts.slow(name, quality);
}

const whyNot = whyNoSlowLinks();
const times = (count: number, ...ms: readonly number[]) => Array.from({ length: count }, () => ms).flat();

faultSuite('bad links of three hosts', { nodes: 3, syncNames: 'ANY 1 (n1, n2, n3)' }, (step) => {
  step('flapping link of the master: 0.7 s cut, 0.3 s open, 12 times', {}, async (scene) => {
    await flap(scene, scene.master.name, times(12, 700, 300));
    return { master: 'either', codes: [] };
  });

  step('flapping link of the master: 2.5 s cut, 1 s open, 4 times', {}, async (scene) => {
    await flap(scene, scene.master.name, times(4, 2500, 1000));
    return { master: 'either', codes: ['lease-lapsed'] };
  });

  step('flapping link of the master: 4 s cut, 2 s open, 3 times', {}, async (scene) => {
    await flap(scene, scene.master.name, times(3, 4000, 2000));
    return { master: 'either', codes: ['master-ready'] };
  });

  step('flapping link of a standby: 0.7 s cut, 0.3 s open, 12 times', {}, async (scene) => {
    await flap(scene, scene.standby(0).name, times(12, 700, 300));
    return { master: 'same', codes: [] };
  });

  step('all links slow: 80 ms there and back', { whyNot }, async (scene) => {
    scene.strike();
    await slowDown(scene, { delayMs: 20, jitterMs: 5 });
    await scene.lasting(6000);
    return { master: 'same', codes: [] };
  });

  step('all links slow (80 ms), and the master crashes', { quick: true, whyNot }, async (scene) => {
    await slowDown(scene, { delayMs: 20, jitterMs: 5 });
    await scene.untilWriting();
    scene.strike();
    scene.master.server.kill();
    // A round of votes has 400 ms, which may be too short here: then the old master is back before it is won.
    await scene.untilWriting();
    return { master: 'either', codes: ['master-crashed', 'master-ready'] };
  });

  step('all links lose 5 % of the packets, and the master is cut off', { whyNot }, async (scene) => {
    await slowDown(scene, { delayMs: 2, jitterMs: 2, lossPercent: 2.5 });
    await scene.untilWriting();
    scene.strike();
    scene.hosts.isolate(scene.master.name);
    return takenOver(scene, ['master-suspected', 'master-ready', 'lease-lapsed']);
  });

  step('link of the master loses 30 % of the packets for 10 s', { whyNot }, async (scene) => {
    scene.strike();
    await scene.hosts.slow(scene.master.name, { delayMs: 1, lossPercent: 30 });
    await scene.lasting(10_000);
    return { master: 'either', codes: [] };
  });

  step('link of the master: 1.2 s there and back, for 10 s', { whyNot }, async (scene) => {
    scene.strike();
    await scene.hosts.slow(scene.master.name, { delayMs: 600 });
    await scene.lasting(10_000);
    return { master: 'either', codes: [] };
  });

  step('link of a standby: 1.2 s there and back, losing 20 %, for 10 s', { whyNot }, async (scene) => {
    scene.strike();
    await scene.hosts.slow(scene.standby(0).name, { delayMs: 600, lossPercent: 20 });
    await scene.lasting(10_000);
    return { master: 'same', codes: [] };
  });
});
