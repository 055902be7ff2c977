/**
 * `pgkeeper fence-after-boot`: run by the unit of a server before it starts. A master whose host lost power comes up as a standby
 * until its worker has found out who is master, and not writable beside somebody who took its place.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../core/error-text.js';
import { holdNames } from '../core/types.js';
import { bareControl } from '../process/bare-control.js';
import { keptInBoot } from '../process/boot-mark.js';
import { serverProcesses } from '../process/processes.js';
import { readDataDirectory } from '../settings/data-directory.js';
import { CommandFailure, type ExitCode, exitCodes } from './exit-codes.js';
import { printJson, say } from './output.js';
import { ownCall, strangersHint } from './server-owner.js';

export interface FenceAfterBootOptions {
  readonly dataDirectory: string;
  readonly json?: boolean;
}

export async function runFenceAfterBoot(options: FenceAfterBootOptions): Promise<ExitCode> {
  const path = readableDirectory(options.dataDirectory);
  const untouched = whyUntouched(path);
  if (untouched === null) fence(path);
  if (options.json === true) printJson({ fenced: untouched === null, reason: untouched });
  say(
    untouched === null
      ? 'this host was started anew since a worker kept the server: it starts as a standby, and its worker makes it master again if it may be'
      : `nothing to do: ${untouched}`,
  );
  return exitCodes.done;
}

function readableDirectory(given: string): string {
  const directory = readDataDirectory(given);
  if (typeof directory !== 'string') return directory.path;
  const stranger = strangersHint(given, ownCall());
  throw new CommandFailure(exitCodes.usage, stranger === null ? directory : `${given} cannot be read`, [
    stranger ?? "Name the data directory of the server, or Debian's folder /etc/postgresql/VERSION/NAME.",
  ]);
}

function fence(path: string): void {
  try {
    bareControl(() => path).markFenced(holdNames);
  } catch (error) {
    throw new CommandFailure(
      exitCodes.failed,
      `the server starts as its files say: ${messageOf(error)}`,
      [strangersHint(path, ownCall()) ?? []].flat(),
    );
  }
}

function whyUntouched(path: string): string | null {
  const boot = keptInBoot(path);
  if (boot === 'none') return 'no worker keeps this server';
  if (boot === 'this') return 'its worker has kept this server since the host was started';
  for (const name of ['standby.signal', 'recovery.signal'])
    if (existsSync(join(path, name))) return `${name} is there, so it does not start as a master`;
  if (serverProcesses(path).length > 0) return 'the server runs';
  return null;
}
