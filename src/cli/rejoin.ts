/**
 * `pgkeeper rejoin`: by hand what a worker does by itself when another node is master. The server is started once, fenced,
 * to replay its WAL and to show its history; then it is rewound or copied and follows the master.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../core/error-text.js';
import type { LostWal } from '../core/events.js';
import { tellingOf } from '../core/own-server/rejoin.js';
import { isOtherHistory } from '../core/ranking.js';
import type { ReasonRecord } from '../core/reasons.js';
import type { Observation, Voter } from '../core/types.js';
import { ballotOf, ballotText } from '../core/votes/ballot.js';
import { followConninfo } from '../core/watch/following.js';
import { targetOf } from '../postgres/connect.js';
import { tell } from '../postgres/registry.js';
import { readControlFile } from '../process/control-file.js';
import { readUnfinished } from '../process/copy/unfinished-data.js';
import { standDownGuard } from '../process/guard/guard-stand-down.js';
import { findMaster, knownNodes } from '../process/known-nodes.js';
import { serverProcesses } from '../process/processes.js';
import { rejoinServer } from '../process/rejoin-server.js';
import { createServerControl, type ServerControl } from '../process/server-control.js';
import { claimDataDirectory } from '../process/single-worker.js';
import { type LoadRequest, loadSettings } from '../settings/load.js';
import type { Settings } from '../settings/settings.js';
import { refused } from './clone/clone-target.js';
import { CommandFailure, type ExitCode, exitCodes } from './exit-codes.js';
import { timeoutOf } from './nodes.js';
import { printJson, say } from './output.js';
import { isInPlace, ownPast, type Past, sourceLook, streamsUnder } from './rejoin-look.js';
import { withSession } from './session.js';
import { usableSettings } from './usable-settings.js';

export interface RejoinOptions {
  readonly from?: string;
  readonly copy?: boolean;
  readonly timeout: string;
  readonly json?: boolean;
}

export async function runRejoin(request: LoadRequest, options: RejoinOptions): Promise<ExitCode> {
  const settings = usableSettings(await loadSettings({ ...request, finishesCopies: true }));
  const dataDirectory = settings.dataDirectory ?? '';
  const already = options.copy === true ? null : await streamingFrom(settings, dataDirectory, options);
  if (already !== null) return nothingToDo(settings.nodeName, already, options);
  if (!(await claimDataDirectory(dataDirectory)))
    throw refused(`a worker runs for ${dataDirectory}; it brings this server back by itself`, [
      'Its log says what it is doing. To do it by hand, stop the worker first (systemctl stop pgkeeper).',
    ]);
  await refuseWritable(settings, dataDirectory);
  const source = await sourceOf(settings, dataDirectory, options);
  const theirs = await sourceLook(source);
  refuseForeign(dataDirectory, theirs);
  const control = controlOf(settings, dataDirectory);
  const started = performance.now();
  const { detail, lost } = await bringBack(control, settings, source, theirs, options);
  const { host, port } = targetOf(source);
  const tookMs = Math.round(performance.now() - started);
  say(`${settings.nodeName}: ${detail}`);
  if (lost !== null) say(lostSentence(lost));
  await tellMaster(source, settings.nodeName, theirs, [
    ...(lost === null ? [] : [tellingOf(lost)]),
    { code: 'rejoined', details: { tookMs, detail } },
  ]);
  const streams = await streamsUnder(source, settings.nodeName, timeoutOf(options));
  if (options.json === true)
    printJson({
      node: settings.nodeName,
      master: `${host}:${port}`,
      detail,
      lost,
      streams,
      tookMs,
    });
  if (!streams)
    throw new CommandFailure(exitCodes.timeout, `it runs, but does not stream from ${host}:${port} yet`, [
      'Its own log says why.',
    ]);
  say(`it streams from ${host}:${port}; start its worker now`);
  return exitCodes.done;
}

/** The master that it streams from already, where nothing speaks against it. A restart would only cut its readers' sessions. */
async function streamingFrom(
  settings: Settings,
  dataDirectory: string,
  options: RejoinOptions,
): Promise<string | null> {
  if (serverProcesses(dataDirectory).length === 0 || readUnfinished(dataDirectory) !== null) return null;
  // Whatever cannot be found out here is told by the steps that come then.
  try {
    const source = await sourceOf(settings, dataDirectory, options);
    const [ours, theirs] = await Promise.all([sourceLook(settings.ownConninfo), sourceLook(source)]);
    if (!isInPlace(ours.observation, theirs.observation)) return null;
    return (await streamsUnder(source, settings.nodeName, 0)) ? source : null;
  } catch {
    return null;
  }
}

function nothingToDo(node: string, source: string, options: RejoinOptions): ExitCode {
  const { host, port } = targetOf(source);
  const detail = `streams from the master, ${host}:${port}, already: nothing to do`;
  say(`${node} ${detail}; --copy would make it afresh`);
  if (options.json === true)
    printJson({ node, master: `${host}:${port}`, detail, lost: null, streams: true, tookMs: 0 });
  return exitCodes.done;
}

/** As a worker would. That the node is back matters more than that it is told. */
async function tellMaster(
  source: string,
  node: string,
  { observation }: Past,
  records: readonly Pick<ReasonRecord, 'code' | 'details'>[],
): Promise<void> {
  const { registry } = observation;
  if (registry === null) return;
  const at = performance.now();
  const events = records.map((record) => ({ ...record, at, epoch: registry.epoch, again: false }));
  try {
    await withSession(source, ({ client }) => tell(client, node, events));
  } catch (error) {
    say(`not told in pgkeeper.events: ${messageOf(error)}`);
  }
}

function lostSentence({ from, to, commits, folder, why }: LostWal): string {
  const what = `only this server had what is from ${from} to ${to} (${commits ?? 'an unknown number of'} commits)`;
  return folder === null ? `${what}; its WAL is not kept: ${why}` : `${what}; its WAL is kept in ${folder}`;
}

/** Whoever takes writes may be the master: people decide that, not this command. */
async function refuseWritable(settings: Settings, dataDirectory: string): Promise<void> {
  if (serverProcesses(dataDirectory).length === 0) return;
  const own = await sourceLook(settings.ownConninfo).catch(() => null);
  if (own?.observation.inRecovery === true) return;
  throw refused(
    own === null
      ? `a server runs in ${dataDirectory} and cannot be asked what it is`
      : `the server in ${dataDirectory} takes writes`,
    ['If another node is the master for certain, stop this one first: pg_ctl stop -m fast'],
  );
}

async function sourceOf(settings: Settings, dataDirectory: string, options: RejoinOptions): Promise<string> {
  if (options.from !== undefined) return options.from;
  try {
    return (await findMaster(knownNodes(dataDirectory), settings.nodeName)).conninfo;
  } catch (error) {
    throw new CommandFailure(exitCodes.cannotConnect, `the master is not found: ${messageOf(error)}`, [
      'Give it with --from.',
    ]);
  }
}

function refuseForeign(dataDirectory: string, { observation, major }: Past): void {
  if (observation.inRecovery)
    throw refused('the source is a standby itself', ['Give the master with --from.']);
  const own = readFileSync(join(dataDirectory, 'PG_VERSION'), 'utf8').trim();
  if (own !== String(major))
    throw refused(`the source runs PostgreSQL ${major}, the data here are of ${own}`);
  if (!existsSync(join(dataDirectory, 'global', 'pg_control'))) return;
  const { systemIdentifier } = readControlFile(dataDirectory);
  if (systemIdentifier !== observation.systemIdentifier)
    throw refused(
      `another cluster: the data here have system identifier ${systemIdentifier}, the source ${observation.systemIdentifier}`,
      ['To replace them all the same: pgkeeper clone --force'],
    );
}

function controlOf(settings: Settings, dataDirectory: string): ServerControl {
  return createServerControl({
    dataDirectory: () => dataDirectory,
    binDirectory: () => settings.binDirectory,
    startCommand: () => settings.startCommand,
    stopCommand: () => settings.stopCommand,
    lostWalLimitBytes: () => settings.lostWalLimitBytes,
  });
}

const startBoundMs = 60_000;
const replayBoundMs = 600_000;

async function bringBack(
  control: ServerControl,
  settings: Settings,
  source: string,
  theirs: Past,
  options: RejoinOptions,
): Promise<{ readonly detail: string; readonly lost: LostWal | null }> {
  const present = control.followed();
  const epoch = theirs.observation.registry?.epoch ?? 0;
  if (ballotOf(present) > epoch)
    throw refused(
      `this node was counted in an election for epoch ${ballotOf(present)}, and that server is master of epoch ${epoch}`,
      ['Start its worker instead: it waits for the outcome.'],
    );
  control.forbidWritableStart();
  await standDownGuard(settings.dataDirectory ?? '');
  const sameNumberTwice =
    control.unfinished() === null && (await isOnOtherHistory(control, settings, source));
  const self: Voter = { name: settings.nodeName, kind: 'node', conninfo: '', database: '', seqno: 0 };
  let lost: LostWal | null = null;
  try {
    const detail = await rejoinServer(control, {
      source,
      mode: options.copy === true || sameNumberTwice ? 'copy' : 'rewind-or-copy',
      follow: followConninfo(self, present, { ...self, conninfo: source }, ballotText(epoch)),
      sameNumberTwice,
      onLost: (found) => {
        lost = found;
      },
    });
    return { detail, lost };
  } catch (error) {
    throw new CommandFailure(exitCodes.failed, `not brought back: ${messageOf(error)}`, [
      'The server can only start as a standby. Mend what is named, then the same command again, or start its worker.',
    ]);
  }
}

/** Crash recovery, and the question whether the last timeline only has the same number: pg_rewind would not see that. */
async function isOnOtherHistory(
  control: ServerControl,
  settings: Settings,
  source: string,
): Promise<boolean> {
  const condition = await control.inspect();
  if (condition.kind === 'stopped') {
    if (!condition.clean) say('it was not shut down cleanly: it replays its WAL first');
    control.markFenced(null);
    await control.start(startBoundMs);
  }
  const { observation: ours } = await ownPast(settings.ownConninfo, replayBoundMs);
  // Asked after it: what streams from there is never ahead of it then.
  const { observation: theirs } = await sourceLook(source);
  return isOtherHistory(ours, theirs) || isAhead(ours, theirs);
}

/** Without a registry the positions are all there is. */
function isAhead(ours: Observation, theirs: Observation): boolean {
  const isUnknown = ours.registry === null || theirs.registry === null;
  return isUnknown && ours.timeline === theirs.timeline && ours.received > theirs.received;
}
