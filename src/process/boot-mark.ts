/**
 * In which boot of this host a worker last kept a server, remembered in a file of its data directory. A server that is started in a
 * later one before its worker is there knows nothing of what happened meanwhile: it may come up as a standby only
 * (`pgkeeper fence-after-boot`).
 */
import { realpathSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { replaceFile } from './configuration-change.js';
import { textOf } from './text-of.js';

function pathOf(dataDirectory: string): string {
  return join(dataDirectory, 'pgkeeper.boot');
}

/** One word each. The path: a copy of the data elsewhere on this machine is another server. */
interface Boot {
  readonly machine: string;
  readonly boot: string;
  readonly path: string;
}

/** Null where the kernel does not tell. */
function presentBoot(dataDirectory: string): Boot | null {
  const boot = textOf('/proc/sys/kernel/random/boot_id').trim();
  if (boot === '') return null;
  return { machine: textOf('/etc/machine-id').trim(), boot, path: realpathSync(dataDirectory) };
}

function keptBoot(dataDirectory: string): Boot | null {
  try {
    const { machine, boot, path } = JSON.parse(textOf(pathOf(dataDirectory))) as Partial<Boot>;
    return machine === undefined || boot === undefined || path === undefined ? null : { machine, boot, path };
  } catch {
    return null;
  }
}

/** Written once a boot. Throws where it cannot be written. */
export function rememberBoot(dataDirectory: string): void {
  const text = JSON.stringify(presentBoot(dataDirectory));
  if (text !== 'null' && textOf(pathOf(dataDirectory)) !== text) replaceFile(pathOf(dataDirectory), text);
}

/** Its worker leaves this server alone, or it is no node: it starts as its files say. */
export function forgetBoot(dataDirectory: string): void {
  rmSync(pathOf(dataDirectory), { force: true });
}

/** In which boot a worker last kept the server at this place on this very machine: in none, in this one, in one before. */
export function keptInBoot(dataDirectory: string): 'none' | 'this' | 'earlier' {
  const [present, kept] = [presentBoot(dataDirectory), keptBoot(dataDirectory)];
  if (present === null || kept === null) return 'none';
  if (kept.machine !== present.machine || kept.path !== present.path) return 'none';
  return kept.boot === present.boot ? 'this' : 'earlier';
}
