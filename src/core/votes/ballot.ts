/**
 * The ballot: the epoch for which a primary_conninfo was written, in fallback_application_name (following.ts). It also
 * tells promotions without a row apart: each was fought for in an epoch of its own, under which its nodes were pointed.
 *
 *   pgkeeper:7        counted in the election for epoch 7; what it receives from there on is of that promotion
 *   pgkeeper:7@2:5    the same, and what it has on timeline 2 already is of the promotion that was fought for as epoch 5
 *   pgkeeper:7@2:5@3:6  and it may be about to make timeline 3, by a promotion that was fought for as epoch 6
 */
import { keywordOf } from '../conninfo.js';
import { remembering } from '../recent.js';

/** Of which promotion a timeline is that no registry row tells. */
export interface Origin {
  readonly timeline: number;
  readonly epoch: number;
}

interface Ballot {
  readonly epoch: number;
  readonly origins: readonly Origin[];
}

const none: Ballot = { epoch: 0, origins: [] };
const pattern = /^pgkeeper:([1-9]\d*)((?:@\d+:\d+)*)$/;

export function ballotText(epoch: number, origins: readonly Origin[] = []): string {
  return `pgkeeper:${epoch}${origins.map((origin) => `@${origin.timeline}:${origin.epoch}`).join('')}`;
}

/** As it stands there; null = none. */
export function ballotTextOf(conninfo: string): string | null {
  const text = keywordOf(conninfo, 'fallback_application_name');
  return text !== undefined && pattern.test(text) ? text : null;
}

/**
 * The same for a server that is being ended: a timeline that it was about to make will never be. One that it has made in the
 * election of its ballot needs no telling, so only the promise goes.
 */
export function ballotTextOfDead(conninfo: string): string | null {
  const { epoch, origins } = read(conninfo);
  if (epoch === 0) return null;
  return ballotText(
    epoch,
    origins.filter((origin) => origin.epoch !== epoch),
  );
}

const read = remembering((conninfo: string): Ballot => {
  const [, epoch, told = ''] = pattern.exec(ballotTextOf(conninfo) ?? '') ?? [];
  if (epoch === undefined || !Number.isSafeInteger(Number(epoch))) return none;
  const origins = [...told.matchAll(/@(\d+):(\d+)/g)].map(([, timeline, origin]) => ({
    timeline: Number(timeline),
    epoch: Number(origin),
  }));
  return { epoch: Number(epoch), origins };
});

/** 0 = none. */
export function ballotOf(conninfo: string): number {
  return read(conninfo).epoch;
}

/** The election that made that timeline, if the registry does not tell; 0 = not known. */
export function originOf(conninfo: string, timeline: number): number {
  return toldOrigin(conninfo, timeline)?.epoch ?? ballotOf(conninfo);
}

/** What the ballot says of that timeline itself; null = nothing. */
export function toldOrigin(conninfo: string, timeline: number): Origin | null {
  return read(conninfo).origins.find((origin) => origin.timeline === timeline) ?? null;
}
