/** Five hosts split into a minority and a majority, into three parts, and into a ring. */
import { faultSuite, takenOver } from '../support/fault-suite.js';

const names = ['n1', 'n2', 'n3', 'n4', 'n5'];

faultSuite('splits of five hosts', { nodes: 5, syncNames: `ANY 2 (${names.join(', ')})` }, (step) => {
  step('master and one standby cut off from three', { quick: true }, async (scene) => {
    const [beside, ...others] = scene.standbys.map(({ name }) => name);
    scene.strike();
    scene.hosts.split([scene.master.name, beside ?? ''], others);
    return takenOver(scene, ['master-suspected', 'master-ready', 'lease-lapsed', 'server-retired']);
  });

  step('master and two standbys cut off from two', {}, async (scene) => {
    const [one, two, ...others] = scene.standbys.map(({ name }) => name);
    scene.strike();
    scene.hosts.split([scene.master.name, one ?? '', two ?? ''], others);
    await scene.lasting(6000);
    return { master: 'same', codes: ['master-suspected', 'no-majority'] };
  });

  step('master alone cut off from four', {}, async (scene) => {
    scene.strike();
    scene.hosts.isolate(scene.master.name);
    return takenOver(scene, ['master-suspected', 'master-ready', 'lease-lapsed']);
  });

  step('split two, two, one: no majority anywhere for 6 s', {}, async (scene) => {
    const [one, two, three, four] = scene.standbys.map(({ name }) => name);
    scene.strike();
    scene.hosts.split([scene.master.name, one ?? ''], [two ?? '', three ?? ''], [four ?? '']);
    await scene.lasting(6000);
    return { master: 'either', codes: ['lease-lapsed', 'no-majority'] };
  });

  step('a ring: every host sees its two neighbours only', {}, async (scene) => {
    scene.strike();
    names.forEach((name, i) => {
      scene.hosts.cut(name, names[(i + 2) % names.length] ?? '');
    });
    await scene.lasting(8000);
    return { master: 'either', codes: [] };
  });

  step('a split that moves: the majority loses its new master to the next split', {}, async (scene) => {
    const [one, ...others] = scene.standbys.map(({ name }) => name);
    scene.strike();
    scene.hosts.split([scene.master.name, one ?? ''], others);
    const next = await scene.untilTakenOver();
    scene.hosts.heal();
    const rest = names.filter((name) => name !== next.name && name !== others.at(-1));
    scene.hosts.split([next.name, ...others.slice(-1).filter((name) => name !== next.name)], rest);
    await scene.lasting(8000);
    return { master: 'either', codes: ['master-ready', 'lease-lapsed'] };
  });
});
