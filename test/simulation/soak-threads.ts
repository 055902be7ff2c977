/** Many seeds in one or more threads: each takes every n-th seed, the main thread adds up. */
import { randomInt } from 'node:crypto';
import { type MessagePort, Worker as Thread } from 'node:worker_threads';
import { run } from './run.js';
import { prepare, replayLine, type Variant } from './variant.js';

export interface SoakOptions {
  readonly script: URL;
  readonly jobs: number;
  /** How many; null = for so many minutes. */
  readonly seeds: number | null;
  readonly minutes: number;
  readonly from: number | null;
  readonly variant: Variant;
}

interface ThreadTask {
  readonly first: number;
  readonly step: number;
  readonly last: number;
  readonly untilMs: number;
  readonly variant: Variant;
}

/** What a thread has done since it last said so. */
interface Progress {
  readonly runs: number;
  readonly simulatedMs: number;
  readonly faults: number;
  readonly wrong: readonly string[];
}

/** Said so often at most. */
const reportMs = 500;
const totalsEveryMs = 60_000;
/** Nearly all that is made in a run is garbage at once: a large young generation copies little of it. */
const youngMb = 64;

/** Returns how many seeds had a violation. */
export async function soak(options: SoakOptions): Promise<number> {
  const from = options.from ?? randomInt(1_000_000, 1_000_000_000);
  const began = performance.now();
  const total = { runs: 0, simulatedMs: 0, faults: 0, wrong: 0 };
  const say = () => console.log(totals(total, performance.now() - began));
  const timer = setInterval(say, totalsEveryMs);
  const threads = Array.from({ length: options.jobs }, (_, i) => {
    const workerData: ThreadTask = {
      first: from + i,
      step: options.jobs,
      last: options.seeds === null ? Number.POSITIVE_INFINITY : from + options.seeds - 1,
      untilMs: options.seeds === null ? Date.now() + options.minutes * 60_000 : Number.POSITIVE_INFINITY,
      variant: options.variant,
    };
    const thread = new Thread(options.script, {
      workerData,
      resourceLimits: { maxYoungGenerationSizeMb: youngMb },
    });
    thread.on('message', (progress: Progress) => {
      total.runs += progress.runs;
      total.simulatedMs += progress.simulatedMs;
      total.faults += progress.faults;
      total.wrong += progress.wrong.length;
      for (const line of progress.wrong) console.log(line);
    });
    return new Promise<void>((resolve, reject) => {
      thread.once('error', reject);
      thread.once('exit', () => resolve());
    });
  });
  try {
    await Promise.all(threads);
  } finally {
    clearInterval(timer);
  }
  say();
  return total.wrong;
}

function totals(
  total: { runs: number; simulatedMs: number; faults: number; wrong: number },
  ms: number,
): string {
  const perMinute = (count: number) => ((count * 60_000) / ms).toFixed(0);
  const hours = total.simulatedMs / 3_600_000;
  return (
    `${total.runs} seeds, ${total.wrong} with a violation, ${hours.toFixed(0)} cluster-hours, ${total.faults} faults; ` +
    `a minute: ${perMinute(total.runs)} seeds, ${perMinute(hours)} hours, ${perMinute(total.faults)} faults`
  );
}

/** The thread's side. */
export async function soakThread(port: MessagePort | null, task: ThreadTask): Promise<void> {
  const prepared = await prepare(task.variant);
  let since = { runs: 0, simulatedMs: 0, faults: 0, wrong: [] as string[] };
  let saidAt = performance.now();
  const say = () => {
    port?.postMessage(since satisfies Progress);
    since = { runs: 0, simulatedMs: 0, faults: 0, wrong: [] };
    saidAt = performance.now();
  };
  for (let seed = task.first; seed <= task.last && Date.now() < task.untilMs; seed += task.step) {
    const { simulatedMs, faults, violations } = run({ ...prepared.optionsOf(seed), stopAtFirst: true });
    since.runs += 1;
    since.simulatedMs += simulatedMs;
    since.faults += faults.length;
    const [first] = violations;
    if (first !== undefined)
      since.wrong.push(
        `seed ${seed}: ${first.rule} at ${Math.round(first.at)} ms: ${first.what}\n  ${replayLine(seed, task.variant)}`,
      );
    if (performance.now() - saidAt > reportMs) say();
    // What workers of that run still wait for holds all of it until it has had its turn.
    await null;
  }
  say();
  prepared.remove();
}
