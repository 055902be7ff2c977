/**
 * `pgkeeper clone`, before the first byte: the command line, the place and the source are judged, and everything that stands
 * against the copy is told together.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { lastValue } from '../../process/configuration-file.js';
import { hasBaseBackup } from '../../process/copy/fill-copy.js';
import { nodeNameProblem } from '../../settings/check.js';
import { CommandFailure, exitCodes } from '../exit-codes.js';
import { timeoutOf } from '../nodes.js';
import { say } from '../output.js';
import { Refusals } from '../refusals.js';
import { connect, type Session } from '../session.js';
import { findRegistrationTrouble } from './clone-register.js';
import { type CloneSource, cloneSource, withDatabase } from './clone-source.js';
import {
  type CloneTarget,
  claimTarget,
  cloneTarget,
  programsFor,
  refused,
  refuseFullDisk,
} from './clone-target.js';

export interface CloneOptions {
  readonly from: string;
  readonly dataDirectory: string;
  readonly name?: string;
  /** false with --no-slot. */
  readonly slot?: string | boolean;
  readonly rateLimit?: string;
  readonly force?: boolean;
  readonly removeOld?: boolean;
  readonly register?: boolean;
  readonly conninfo?: string;
  readonly checkpoint: string;
  readonly tablespaceMapping?: readonly string[];
  readonly set?: readonly string[];
  readonly binDirectory?: string;
  readonly timeout: string;
  readonly json?: boolean;
}

export interface Plan {
  readonly checkpoint: 'fast' | 'spread';
  readonly slot: string | null;
  readonly rateLimit: string | null;
  readonly tablespaces: readonly string[];
  readonly settings: Readonly<Record<string, string>>;
}

export interface PreparedClone {
  readonly target: CloneTarget;
  readonly name: string;
  readonly plan: Plan;
  /** On the source; whoever gets it ends it. */
  readonly session: Session;
  readonly source: CloneSource;
  readonly binDirectory: string;
}

export async function prepareClone(options: CloneOptions): Promise<PreparedClone> {
  const found = new Refusals();
  const target = cloneTarget(options.dataDirectory);
  const name = await found.gather(() => nameOf(options, target));
  const plan = await planOf(options, found);
  const notes = await claimTarget(target, options, found);
  const session = await found.gather(() => connect(withDatabase(options.from)));
  try {
    const source = session === null ? null : await cloneSource(session, name, plan.slot, found);
    const binDirectory = source === null ? null : await judge(source, target, options, found);
    if (session !== null && source !== null && options.register === true)
      await findRegistrationTrouble({ session, source, name, options }, found);
    const ready = found.complete({ target, name, plan, session, source, binDirectory }, 'this copy');
    for (const note of notes) say(note);
    return ready;
  } catch (error) {
    await session?.client.end().catch(() => undefined);
    throw error;
  }
}

/** Source and place together. Where PostgreSQL's programs are. */
async function judge(
  source: CloneSource,
  target: CloneTarget,
  options: CloneOptions,
  found: Refusals,
): Promise<string | null> {
  const binDirectory = await found.gather(() => programsFor(target, options.binDirectory, source.major));
  await found.gather(() => refuseMissingConfiguration(source, target));
  if (binDirectory !== null && source.inRecovery && !hasBaseBackup(binDirectory))
    found.add(refused(`${binDirectory} has no pg_basebackup, and without it only the master can be copied`));
  await found.gather(() => refuseFullDisk(target, source.bytes));
  return binDirectory;
}

function nameOf(options: CloneOptions, target: CloneTarget): string {
  const name =
    options.name ?? process.env['PGKEEPER_NODE_NAME'] ?? lastValue(target.entries, 'pg_keeper.node_name');
  if (name === undefined)
    throw new CommandFailure(
      exitCodes.usage,
      'the new node needs a name: none is given and none is configured',
      ['Give one with --name; it must differ from those of the other nodes.'],
    );
  const problem = nodeNameProblem(name);
  if (problem !== null) throw new CommandFailure(exitCodes.usage, `--name "${name}" ${problem}`);
  return name;
}

async function planOf(options: CloneOptions, found: Refusals): Promise<Plan> {
  const wrong = (message: string) => found.add(new CommandFailure(exitCodes.usage, message));
  const { checkpoint, slot, rateLimit, tablespaceMapping: tablespaces = [] } = options;
  if (checkpoint !== 'fast' && checkpoint !== 'spread') wrong('--checkpoint: give fast or spread');
  if (typeof slot === 'string' && !/^[a-z0-9_]{1,63}$/.test(slot))
    wrong(`--slot "${slot}": a slot's name has lower case letters, digits and underscores only`);
  if (rateLimit !== undefined && !/^\d+[kM]?$/.test(rateLimit))
    wrong(`--rate-limit "${rateLimit}": give kilobytes a second, or megabytes as in 50M`);
  const settings: Record<string, string> = {};
  for (const text of options.set ?? []) {
    const at = text.indexOf('=');
    if (at < 1) wrong(`--set "${text}": give NAME=VALUE`);
    else settings[text.slice(0, at)] = text.slice(at + 1);
  }
  for (const text of tablespaces)
    if (!/^\/.*=\//.test(text)) wrong(`--tablespace-mapping "${text}": give OLD=NEW, both absolute paths`);
  await found.gather(() => timeoutOf(options));
  return {
    checkpoint: checkpoint === 'spread' ? 'spread' : 'fast',
    slot: typeof slot === 'string' ? slot : null,
    rateLimit: rateLimit ?? null,
    tablespaces,
    settings,
  };
}

/** On Debian no configuration comes along with the data. */
function refuseMissingConfiguration(source: CloneSource, target: CloneTarget): void {
  const hasOwn = target.configFile !== null || existsSync(join(target.dataDirectory, 'postgresql.conf'));
  if (source.configInside !== false || hasOwn) return;
  throw refused(
    'the source keeps its configuration outside its data directory, and there is none for this one',
    [
      'On Debian: pg_createcluster 15 main, then clone with -D /etc/postgresql/15/main --force.',
      'Elsewhere: begin with a postgresql.conf and a pg_hba.conf in the data directory, and give --force.',
    ],
  );
}
