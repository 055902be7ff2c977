/**
 * Pointing a standby at a server. The conninfo written carries a ballot (ballot.ts). primary_conninfo is the one durable thing a standby lets us write, so a later election,
 * whose majority overlaps this one's, sees that this epoch was fought for and takes a higher one.
 */

import { formatConninfo, withKeywords } from '../conninfo.js';
import type { Observation, Voter } from '../types.js';
import { ballotTextOf } from '../votes/ballot.js';
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
  const base = [present, targetsOwn].find((conninfo) => conninfo.trim() !== '') ?? target.conninfo;
  return withKeywords(base, {
    host: address?.host ?? '',
    port: String(address?.port ?? 5432),
    hostaddr: null,
    dbname: null,
    target_session_attrs: null,
    application_name: node.name,
    fallback_application_name: ballot,
  });
}

/** The ballot alone, for a server that must not stream from anybody: no server listens at that address. */
export function ballotConninfo(node: Pick<Voter, 'name'>, ballot: string): string {
  return formatConninfo(
    new Map([
      ['host', noServer],
      ['application_name', node.name],
      ['fallback_application_name', ballot],
    ]),
  );
}

/**
 * What a candidate has in its own file when it is promoted: whose promotion its log is of, should no row tell. It leads nowhere: a
 * server that comes back as a standby before it is fenced must not stream from whom it followed, which may have another log by that number.
 */
export function promotedConninfo(node: Pick<Voter, 'name'>, present: string, ballot: string): string {
  if (present.trim() === '') return ballotConninfo(node, ballot);
  return withKeywords(present, {
    host: noServer,
    hostaddr: null,
    port: null,
    fallback_application_name: ballot,
  });
}

/** And when it is fenced: the ballot stays, and it follows nobody. */
export function fencedConninfo(present: string): string {
  const ballot = ballotTextOf(present);
  if (ballot === null) return '';
  return formatConninfo(
    new Map([
      ['host', noServer],
      ['fallback_application_name', ballot],
    ]),
  );
}

export function followsNobody(obs: Observation): boolean {
  return addressOf(obs.primaryConninfo)?.host === noServer;
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
