// `npm run demo`: installs what is missing, builds, runs `pgkeeper demo` with the same options.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { build, installDependencies, installNpmServer, root, systemServer } from './setup.mjs';

installDependencies();
if (systemServer() === null) installNpmServer();
build();
const child = spawn(process.execPath, [join(root, 'dist', 'pgkeeper.js'), 'demo', ...process.argv.slice(2)], {
  stdio: 'inherit',
});
// Ctrl-C reaches the child by itself; this process waits for its end.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('exit', (code) => process.exit(code ?? 1));
