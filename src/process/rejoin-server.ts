/**
 * A server brought back as a standby: stopped, what only it had set aside, rewound or else copied, pointed at the master,
 * started. Fenced all the way: the mark goes only when the data are on the master's history.
 */

import { messageOf } from '../core/error-text.js';
import type { LostWal } from '../core/events.js';
import { ballotOf, ballotText } from '../core/votes/ballot.js';
import { nowhereConninfo } from '../core/watch/following.js';
import { openClient, queryWithDeadline } from '../postgres/connect.js';
import { usableSlot } from '../postgres/observation.js';
import { findMaster } from './known-nodes.js';
import type { ServerControl } from './server-control.js';

const askBoundMs = 10_000;
const startBoundMs = 60_000;
const stopBoundMs = 30_000;

export interface RejoinRequest {
  readonly source: string;
  readonly mode: 'rewind-or-copy' | 'copy';
  /** primary_conninfo with which the server comes back. */
  readonly follow: string;
  /** Both have the last timeline, and only its number is the same. */
  readonly sameNumberTwice: boolean;
  readonly onLost: (lost: LostWal) => void;
}

/** Resolves with what was done, in words. */
export async function rejoinServer(control: ServerControl, request: RejoinRequest): Promise<string> {
  const { follow } = request;
  await control.stop('fast', stopBoundMs);
  // No session can change it any more: whoever pointed this server elsewhere counts on it.
  if (ballotOf(control.followed()) > ballotOf(follow)) {
    if (control.unfinished() === null) await control.start(startBoundMs);
    throw new Error('an election pointed this server elsewhere meanwhile');
  }
  const detail = await renew(control, request);
  const slot = control.followedSlot();
  const isThere = slot !== '' && (await hasSlot(request.source, slot));
  control.markStandbyOf(follow, isThere ? slot : '');
  await control.start(startBoundMs);
  return detail;
}

/** Without the slot it names a standby does not stream. */
async function hasSlot(source: string, slot: string): Promise<boolean> {
  try {
    const client = await openClient(source, {
      applicationName: 'pgkeeper rejoin',
      connectTimeoutMs: askBoundMs,
    });
    try {
      const { rows } = await queryWithDeadline(
        client,
        `select from pg_replication_slots where slot_name = $1 and ${usableSlot}`,
        [slot],
        askBoundMs,
      );
      return rows.length > 0;
    } finally {
      client.end().catch(() => undefined);
    }
  } catch {
    return false;
  }
}

async function renew(control: ServerControl, request: RejoinRequest): Promise<string> {
  const { source, mode } = request;
  const unfinished = control.unfinished();
  if (unfinished !== null) {
    await control.copy(source);
    return `fresh copy, since a ${unfinished.what} from ${unfinished.source} was broken off`;
  }
  const notKept = await setAside(control, request);
  if (mode === 'copy') {
    await control.copy(source);
    const why = request.sameNumberTwice ? 'the same timeline number on another history' : 'asked for';
    return `fresh copy: ${why}${notKept}`;
  }
  const rewind = await control.rewind(source);
  if (rewind.kind === 'nothing-to-do') return 'nothing to rewind';
  if (rewind.kind === 'rewound') return `rewound with pg_rewind${notKept}`;
  await control.copy(source);
  return `fresh copy, since a rewind was not possible (${rewind.reason})${notKept}`;
}

/** Whatever goes wrong with it, the node is to come back. */
async function setAside(control: ServerControl, request: RejoinRequest): Promise<string> {
  try {
    const lost = await control.setLostWalAside(request.source, request.sameNumberTwice);
    if (lost !== null) request.onLost(lost);
    return '';
  } catch (error) {
    return `; what only this server had could not be looked at (${messageOf(error)})`;
  }
}

/**
 * Data that a rewind or copy left half done hold no registry to read, so nobody can tell this worker which master to come
 * back to: it asks the nodes it remembers, and starts on a copy that follows nobody. From there it goes on as any fenced server.
 */
export async function finishUnfinished(control: ServerControl, nodeName: string): Promise<string> {
  const unfinished = control.unfinished();
  if (unfinished === null) return '';
  const broken = `a ${unfinished.what} from ${unfinished.source}, begun ${unfinished.since}, was broken off`;
  try {
    const master = await findMaster(control.nodes(), nodeName);
    const followed = control.followed();
    const ballot = ballotOf(followed);
    await control.copy(master.conninfo);
    control.markFenced(null);
    if (ballot > 0) control.follow(nowhereConninfo({ name: nodeName }, followed, ballotText(ballot)));
    return `fresh copy of ${master.name}, since ${broken}`;
  } catch (error) {
    throw new Error(`${broken}, and a fresh copy failed: ${messageOf(error)}`);
  }
}
