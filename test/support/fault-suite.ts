/**
 * A file of the fault suite: one scene, one case after the other on it. What must hold after every case is judged here; a case
 * says which fault there is, whether the master must change, and which codes `pgkeeper events` must tell.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { ReasonCode } from '../../src/core/reasons.js';
import { isRecurring } from '../../src/core/turn.js';
import type { TestNode } from '../../src/testbed/cluster.js';
import { until } from '../../src/testbed/until.js';
import {
  keepRecord,
  longestSilence,
  type Measured,
  overlapSince,
  summaryOf,
  type ToldEvent,
} from './fault-record.js';
import { FaultScene, facts, type SceneOptions } from './fault-scene.js';
import { whyNoHosts } from './hosts.js';
import { skipLoudly } from './skip.js';

export interface Expected {
  /** Is another node master at the end? 'either' where the fault leaves that to chance. */
  readonly master: 'same' | 'another' | 'either';
  /** What `pgkeeper events` must have told, in any order. */
  readonly codes: readonly ReasonCode[];
  /** No protocol can keep these two apart without synchronous replication: the overlap is measured only. */
  readonly mayOverlap?: boolean;
}

export interface CaseOptions {
  /** Runs within `npm test` as well. */
  readonly quick?: boolean;
  /** What is missing on this machine; null = nothing. */
  readonly whyNot?: string | null;
}

export type Case = (
  name: string,
  options: CaseOptions,
  run: (scene: FaultScene) => Promise<Expected>,
) => void;

/** The fault has just struck: another node takes over, and it stays as it is for a while longer. */
export async function takenOver(scene: FaultScene, codes: Expected['codes']): Promise<Expected> {
  const next = await scene.untilTakenOver();
  await scene.untilWriting(next);
  await scene.lasting(2000);
  return { master: 'another', codes };
}

/** `npm test` runs a part of the suite, `npm run faults` all of it. */
const quickOnly = process.env['PGKEEPER_FAULTS'] === 'quick';
const eventsBoundMs = 15_000;

export function faultSuite(title: string, options: SceneOptions, declare: (step: Case) => void): void {
  const why = whyNoHosts();
  if (why !== null) {
    process.stderr.write(`!! NOT TESTED: ${title}: ${why}\n`);
    keepRecord({ cluster: facts, suite: title, name: 'all cases', measured: null, events: why });
  }
  const cases: { readonly name: string; readonly add: () => void }[] = [];
  let scene: FaultScene;
  declare((name, { quick = false, whyNot = null }, run) => {
    if (quickOnly && !quick) return;
    const add = () =>
      test(name, async (context) => {
        if (whyNot !== null) {
          keepRecord({ cluster: facts, suite: title, name, measured: null, events: whyNot });
          skipLoudly(context, whyNot);
          return;
        }
        await play(title, name, scene, run);
      });
    cases.push({ name, add });
  });
  if (cases.length === 0) return;
  describe(title, { concurrency: false, skip: why ?? false }, () => {
    before(async () => {
      scene = new FaultScene(options);
      try {
        await scene.create();
      } catch (error) {
        const logs = scene.cluster.logs();
        await scene.remove();
        throw new Error(`${error instanceof Error ? error.message : String(error)}\n${logs}`);
      }
    });
    after(async () => {
      await scene?.remove();
    });
    for (const { add } of cases) add();
  });
}

async function play(
  suite: string,
  name: string,
  scene: FaultScene,
  run: (scene: FaultScene) => Promise<Expected>,
): Promise<void> {
  try {
    await scene.begin();
    const old = scene.master;
    const expected = await run(scene);
    const now = await scene.untilWhole();
    await scene.untilWriting(now);
    const end = performance.now();
    const events = await untilTold(scene, now, expected.codes);
    const lost = await scene.lost(now);
    const rows = scene.all.filter(({ at }) => at > scene.since);
    const measured: Measured = {
      sync: scene.options.syncNames !== '',
      acknowledged: rows.length,
      lost: lost.length,
      overlapMs: overlapSince(rows, scene.since, lost),
      silenceMs: longestSilence(rows, scene.since, end),
      promotions: scene.decided('promoted'),
    };
    keepRecord({
      cluster: facts,
      suite,
      name,
      measured,
      events: summaryOf(events, rolesOf(scene, old, now)),
      told: events,
    });
    judge(measured, expectedOf(scene, expected), old, now, events, lost);
  } catch (error) {
    throw new Error(
      `${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n${scene.cluster.logs(60)}`,
    );
  }
}

/** Events reach the registry with the next report of their worker. */
async function untilTold(
  scene: FaultScene,
  master: TestNode,
  codes: readonly ReasonCode[],
): Promise<readonly ToldEvent[]> {
  let told: readonly ToldEvent[] = [];
  const isComplete = async () => {
    told = await scene.events(master);
    return codes.every((code) => told.some((event) => event.code === code));
  };
  await until('all is told', isComplete, eventsBoundMs, 300).catch(() => undefined);
  return told;
}

/**
 * What comes in each round of an outage is told some times only (core/turn.ts), in an earlier case of this scene perhaps: then
 * the worker's own log must have it of this case.
 */
function expectedOf(scene: FaultScene, expected: Expected): Expected {
  const isInLog = (code: ReasonCode) => isRecurring(code) && scene.decided(code) > 0;
  return { ...expected, codes: expected.codes.filter((code) => !isInLog(code)) };
}

function judge(
  measured: Measured,
  expected: Expected,
  old: TestNode,
  now: TestNode,
  events: readonly ToldEvent[],
  lost: readonly number[],
): void {
  const codes = new Set(events.map(({ code }) => code));
  if (measured.sync) assert.deepEqual(lost, [], 'every acknowledged row is on the master of the end');
  if (expected.mayOverlap !== true)
    assert.equal(measured.overlapMs, 0, 'two servers acknowledged at the same time, ms');
  if (expected.master === 'same') {
    assert.equal(now.name, old.name, 'the master is the same');
    assert.equal(measured.promotions, 0, 'nobody was promoted');
  } else if (expected.master === 'another') {
    assert.notEqual(now.name, old.name, 'another node is master');
  }
  assert.deepEqual(
    expected.codes.filter((code) => !codes.has(code)),
    [],
    `codes that pgkeeper events must tell; it told ${[...codes].join(' ')}`,
  );
}

function rolesOf(scene: FaultScene, old: TestNode, now: TestNode): (node: string) => string {
  const others = scene.cluster.nodes.filter((node) => node !== old && node !== now);
  return (node) => {
    if (node === old.name) return 'master';
    if (node === now.name) return 'next';
    return `other${others.length > 1 ? others.findIndex(({ name }) => name === node) + 1 : ''}`;
  };
}
