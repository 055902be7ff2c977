// `npm run bench`: installs what is missing, compiles, measures (test/bench/main.ts has the options).
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { compile, installDependencies, installNpmServer, root, systemServer } from './setup.mjs';

installDependencies();
if (systemServer() === null) installNpmServer();
compile();
const { status } = spawnSync(
  process.execPath,
  [join(root, 'build', 'test', 'bench', 'main.js'), ...process.argv.slice(2)],
  { stdio: 'inherit' },
);
process.exit(status ?? 1);
