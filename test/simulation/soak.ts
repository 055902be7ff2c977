/** `npm run soak`: fresh seeds for as long as you like, or one of them again. --help shows the options. */
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { readArguments } from '#arguments';
import { replay } from './replay.js';
import { soak, soakThread } from './soak-threads.js';
import type { Variant } from './variant.js';

const usage = `npm run soak [-- options]
  --minutes N       for so long (default 60)
  --seeds COUNT     so many seeds instead
  --jobs N          in so many threads side by side (default 1)
  --from SEED       the first seed (default random)
  --seed SEED       one seed: prints what happened in it, violations marked with !!
  --shrink          with --seed: looks for few faults and operations that still break a rule, prints that run
  --mutation TEXT   with the deliberate mistake whose name contains TEXT (mutations.ts)
  --like TEXT       in the clusters and under the faults of that mutation, without its mistake
  --only LIST, --operations LIST
                    with --seed: only these faults and operations of the plan, by their numbers; '-' = none`;

const { values } = readArguments({
  usage,
  numbers: ['minutes', 'seeds', 'jobs', 'from', 'seed'],
  options: {
    minutes: { type: 'string' },
    seeds: { type: 'string' },
    jobs: { type: 'string', default: '1' },
    from: { type: 'string' },
    seed: { type: 'string' },
    shrink: { type: 'boolean', default: false },
    mutation: { type: 'string' },
    like: { type: 'string' },
    only: { type: 'string' },
    operations: { type: 'string' },
  },
  args: isMainThread ? process.argv.slice(2) : [],
});

const variant: Variant = { mutation: values.mutation ?? null, like: values.like ?? null };
if (!isMainThread) await soakThread(parentPort, workerData);
else if (values.seed !== undefined) {
  const { only = null, operations = null, shrink } = values;
  process.exitCode = (await replay({ seed: Number(values.seed), variant, only, operations, shrink })) ? 1 : 0;
} else {
  const wrong = await soak({
    script: new URL(import.meta.url),
    jobs: Number(values.jobs),
    seeds: values.seeds === undefined ? null : Number(values.seeds),
    minutes: Number(values.minutes ?? 60),
    from: values.from === undefined ? null : Number(values.from),
    variant,
  });
  process.exitCode = wrong === 0 ? 0 : 1;
}
