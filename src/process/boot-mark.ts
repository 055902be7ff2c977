/**
 * In which boot of this host a worker last kept a server, remembered in a file of its data directory. A server that is started in a
 * later one before its worker is there knows nothing of what happened meanwhile: it may come up as a standby only
 * (`pgkeeper fence-after-boot`).
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { replaceFile } from './configuration-change.js';

function pathOf(dataDirectory: string): string {
  return join(dataDirectory, 'pgkeeper.boot');
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
}

/** Machine and boot; null where the kernel does not tell. */
function presentBoot(): string | null {
  const boot = textOf('/proc/sys/kernel/random/boot_id');
  return boot === '' ? null : `${textOf('/etc/machine-id')} ${boot}`.trim();
}

/** Written once a boot. Never throws: without it the server starts as its files say. */
export function rememberBoot(dataDirectory: string): void {
  const boot = presentBoot();
  if (boot === null || textOf(pathOf(dataDirectory)) === boot) return;
  try {
    replaceFile(pathOf(dataDirectory), `${boot}\n`);
  } catch {
    // A full disk: said again with the next change of the registry.
  }
}

/** Its worker leaves this server alone: it starts as its files say. */
export function forgetBoot(dataDirectory: string): void {
  if (existsSync(pathOf(dataDirectory))) rmSync(pathOf(dataDirectory), { force: true });
}

/** A worker on this very machine kept it, and the machine was started since. */
export function isFromEarlierBoot(dataDirectory: string): boolean {
  const [present, kept] = [presentBoot(), textOf(pathOf(dataDirectory))];
  if (present === null || kept === '') return false;
  const machineOf = (boot: string) => boot.split(' ').slice(0, -1).join(' ');
  return kept !== present && machineOf(kept) === machineOf(present);
}
