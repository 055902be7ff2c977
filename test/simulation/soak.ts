/**
 * `npm run soak`: seeds for as long as you like. --minutes N (default 60), --from SEED (default random); --seed SEED runs one
 * and prints what happened in it.
 */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { Worker } from '../../src/worker/worker.js';
import { run } from './run.js';

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '60' }, from: { type: 'string' }, seed: { type: 'string' } },
});

function one(seed: number): number {
  const { violations, topology, faults } = run({ seed, workerClass: Worker, recording: true });
  console.log(`seed ${seed}: ${topology.nodes} nodes, synchronous_standby_names '${topology.wish}'`);
  for (const fault of faults) console.log(JSON.stringify(fault));
  for (const violation of violations) console.log(JSON.stringify(violation));
  return violations.length;
}

function many(): number {
  const until = performance.now() + Number(values.minutes) * 60_000;
  let seed = values.from === undefined ? randomInt(1_000_000, 1_000_000_000) : Number(values.from);
  let runs = 0;
  let wrong = 0;
  let simulatedMs = 0;
  const began = performance.now();
  while (performance.now() < until) {
    const result = run({ seed, workerClass: Worker });
    runs += 1;
    simulatedMs += result.simulatedMs;
    const [first] = result.violations;
    if (first !== undefined) {
      wrong += 1;
      console.log(`seed ${seed}: ${first.rule} at ${Math.round(first.at)} ms: ${first.what}`);
    }
    seed += 1;
    if (runs % 500 === 0) report();
  }
  report();
  return wrong;

  function report(): void {
    const minutes = (performance.now() - began) / 60_000;
    const hours = simulatedMs / 3_600_000;
    console.log(
      `${runs} seeds, ${wrong} with a violation, ${hours.toFixed(0)} cluster-hours, ${(hours / minutes).toFixed(0)} a minute`,
    );
  }
}

process.exitCode = (values.seed === undefined ? many() : one(Number(values.seed))) === 0 ? 0 : 1;
