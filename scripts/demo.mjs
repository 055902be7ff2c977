// `npm run demo`: installs what is missing, builds, runs `pgkeeper demo` with the same options.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { build, installDependencies, installNpmServer, root, systemServer } from './setup.mjs';

installDependencies();
if (systemServer() === null) installNpmServer();
build();
// By the channel the demo notices the end of this process, however it comes.
const child = spawn(process.execPath, [join(root, 'dist', 'pgkeeper.js'), 'demo', ...process.argv.slice(2)], {
  stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
});
// Ctrl-C reaches the child by itself; this process waits for its end.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('exit', (code) => process.exit(code ?? 1));
// npm ends without telling what it has started.
const { ppid, env } = process;
if (env.npm_lifecycle_event !== undefined)
  setInterval(() => {
    if (process.ppid !== ppid) child.kill('SIGTERM');
  }, 500);
