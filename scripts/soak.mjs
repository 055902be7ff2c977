// `npm run soak`: the simulation for as long as you like (test/simulation/soak.ts has the options). Needs no PostgreSQL.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { compile, installDependencies, root } from './setup.mjs';

installDependencies();
compile();
const { status } = spawnSync(
  process.execPath,
  [join(root, 'build', 'test', 'simulation', 'soak.js'), ...process.argv.slice(2)],
  { stdio: 'inherit' },
);
process.exit(status ?? 1);
