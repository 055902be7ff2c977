// How slow this machine is: test clusters get a T in which their processes can start here.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { root } from './setup.mjs';

/** A start of the program takes so long, ms, where keepalive_time = 1 s is enough. */
const usualMs = 125;

function startMs() {
  const began = performance.now();
  const { status, stderr } = spawnSync(process.execPath, [join(root, 'dist', 'pgkeeper.js'), '--version']);
  if (status !== 0) throw new Error(`dist/pgkeeper.js --version: exit code ${status}: ${stderr}`);
  return performance.now() - began;
}

function measured() {
  const ms = Math.min(startMs(), startMs(), startMs());
  return Math.min(2500, Math.max(1000, Math.round((10 * ms) / usualMs) * 100));
}

/** How long keepalive_time is in test clusters: PGKEEPER_TEST_KEEPALIVE_MS, or by a measurement. Gives the environment for so many times that. */
export function measurePace() {
  const given = process.env.PGKEEPER_TEST_KEEPALIVE_MS;
  const keepaliveMs = given === undefined ? measured() : Number(given);
  if (keepaliveMs !== 1000)
    console.log(`\nTest clusters run with keepalive_time = ${keepaliveMs} ms instead of 1000.`);
  return (times) => ({ PGKEEPER_TEST_KEEPALIVE_MS: String(Math.round(times * keepaliveMs)) });
}
