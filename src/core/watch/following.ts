/**
 * Pointing a standby at a server. The conninfo written carries a ballot (ballot.ts). primary_conninfo is the one durable thing a standby lets us write, so a later election,
 * whose majority overlaps this one's, sees that this epoch was fought for and takes a higher one.
 */

import { keywordOf, parseConninfo, withKeywords } from '../conninfo.js';
import type { Observation, Voter } from '../types.js';
import { ballotTextOfDead } from '../votes/ballot.js';
import { addressOf } from './suspicion.js';

const noServer = '/pgkeeper-no-server';

/**
 * The node's own credentials where it has some, else those the target once streamed with, else the registry's; the
 * target's address, the node's name, the ballot.
 */
export function followConninfo(
  node: Voter,
  present: string,
  target: Voter,
  ballot: string,
  targetsOwn = '',
): string {
  const address = addressOf(target.conninfo);
  const base = [present, targetsOwn].find(tellsAnything) ?? target.conninfo;
  return withKeywords(base, {
    host: address?.host ?? '',
    port: String(address?.port ?? 5432),
    // Beside a name that need not resolve everywhere.
    hostaddr: keywordOf(target.conninfo, 'hostaddr') ?? null,
    dbname: null,
    target_session_attrs: null,
    application_name: node.name,
    fallback_application_name: ballot,
  });
}

/** One that leads nowhere and names no user had no credentials to keep: libpq would take the user of the system. */
function tellsAnything(conninfo: string): boolean {
  if (conninfo.trim() === '') return false;
  return addressOf(conninfo)?.host !== noServer || keywordOf(conninfo, 'user') !== undefined;
}

/**
 * For a server that must not stream from anybody: no server listens at that address. The ballot stays readable, and what the
 * node streams with is kept for the next time: nobody else may know it.
 * A candidate has it in its own file when it is promoted, where it tells whose promotion its log is of, should no row tell: a
 * server that comes back as a standby before it is fenced must not stream from whom it followed, which may have another log by
 * that number.
 */
export function nowhereConninfo(node: Pick<Voter, 'name'>, present: string, ballot: string): string {
  return leadingNowhere(present, { application_name: node.name, fallback_application_name: ballot });
}

/** And when it is fenced: the ballot stays, if there is one, and it follows nobody. */
export function fencedConninfo(present: string): string {
  if (present.trim() === '') return '';
  return leadingNowhere(present, { fallback_application_name: ballotTextOfDead(present) });
}

function leadingNowhere(present: string, more: Readonly<Record<string, string | null>>): string {
  const isReadable = parseConninfo(present).kind === 'parsed';
  return withKeywords(isReadable ? present : '', { host: noServer, hostaddr: null, port: null, ...more });
}

export function followsNobody(obs: Observation): boolean {
  return addressOf(obs.primaryConninfo)?.host === noServer;
}

/**
 * It may still receive a promotion of the election whose ballot it has, and no row tells of that. Under a new ballot nothing
 * would tell whose timeline that is: so it follows nobody first, under the old one, and is looked at when the stream is over.
 */
export function mustStopFirst(obs: Observation, epoch: number): boolean {
  if (obs.ballot <= (obs.registry?.epoch ?? 0) || obs.ballot === epoch) return false;
  return !isStopped(obs);
}

/** It streams from nobody, and will not by itself. */
export function isStopped(obs: Observation): boolean {
  return followsNobody(obs) && obs.walReceiver === null;
}

/** Its stream ends, its ballot stays. */
export function stoppedConninfo(node: Pick<Voter, 'name'>, present: string): string {
  return leadingNowhere(present, { application_name: node.name });
}

export function isPointedAt(obs: Observation, target: Voter): boolean {
  const wanted = addressOf(target.conninfo);
  const actual = addressOf(obs.primaryConninfo);
  return (
    wanted !== null &&
    actual !== null &&
    wanted.host === actual.host &&
    wanted.port === actual.port &&
    obs.primaryConninfo.trim() !== ''
  );
}
