/** All plays, by the file they are in. */
import { byHand } from './by-hand.js';
import { comingBack } from './coming-back.js';
import { freeze } from './freeze.js';
import { givenUp } from './given-up.js';
import { handovers } from './handovers.js';
import { liveness } from './liveness.js';
import { oneHistory } from './one-history.js';
import { oneMaster } from './one-master.js';
import { origins } from './origins.js';
import type { Scenario } from './scenario.js';
import { syncSet } from './sync-set.js';
import { unseen } from './unseen.js';
import { votes } from './votes.js';
import { witnesses } from './witnesses.js';

export const plays: Readonly<Record<string, readonly Scenario[]>> = {
  'sync-set': syncSet,
  freeze,
  'coming-back': comingBack,
  liveness,
  votes,
  witnesses,
  'one-master': oneMaster,
  'one-history': oneHistory,
  origins,
  handovers,
  'by-hand': byHand,
  'given-up': givenUp,
  unseen,
};

export function playNamed(text: string): Scenario {
  const found = Object.values(plays)
    .flat()
    .filter(({ name }) => name.includes(text));
  const [first] = found;
  if (first === undefined || found.length > 1)
    throw new Error(`${found.length} plays have '${text}' in their name`);
  return first;
}
