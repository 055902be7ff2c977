/**
 * Pointing a standby at a server. The conninfo written carries a ballot: the epoch for which it was written, in
 * fallback_application_name. primary_conninfo is the one durable thing a standby lets us write, so a later election,
 * whose majority overlaps this one's, sees that this epoch was fought for and takes a higher one.
 */
import { formatConninfo, parseConninfo, withKeywords } from './conninfo.js';
import { remembering } from './recent.js';
import { addressOf } from './suspicion.js';
import type { Observation, Voter } from './types.js';

const ballotPrefix = 'pgkeeper:';
const noServer = '/pgkeeper-no-server';

export const ballotOf = remembering((primaryConninfo: string): number => {
  const parsed = parseConninfo(primaryConninfo);
  const value = parsed.kind === 'parsed' ? parsed.keywords.get('fallback_application_name') : undefined;
  if (value === undefined || !value.startsWith(ballotPrefix)) return 0;
  const epoch = Number(value.slice(ballotPrefix.length));
  return Number.isSafeInteger(epoch) && epoch > 0 ? epoch : 0;
});

/**
 * The node's own credentials where it has some, else those the target once streamed with, else the registry's; the
 * target's address, the node's name, the ballot.
 */
export function followConninfo(
  node: Voter,
  present: string,
  target: Voter,
  epoch: number,
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
    fallback_application_name: `${ballotPrefix}${epoch}`,
  });
}

/** The ballot alone, for a server that must not stream from anybody: no server listens at that address. */
export function ballotConninfo(node: Voter, epoch: number): string {
  return formatConninfo(
    new Map([
      ['host', noServer],
      ['application_name', node.name],
      ['fallback_application_name', `${ballotPrefix}${epoch}`],
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
