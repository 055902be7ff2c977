/** What a keeper knows when it starts: nothing but its settings and the link to its own server. */
import type { Keeper, Link } from './state.js';
import type { CoreSettings } from './types.js';

export function newLink(voter: string, now: number): Link {
  return {
    voter,
    conninfo: null,
    database: null,
    witness: null,
    session: 'none',
    attempt: 0,
    openingSince: now,
    openedAt: now,
    retryAt: now,
    failure: null,
    failedAt: now,
    detail: '',
    cut: null,
    cutAt: Number.NEGATIVE_INFINITY,
    lastAlive: Number.NEGATIVE_INFINITY,
    misses: 0,
    busy: null,
    vote: null,
    lastHeldAt: Number.NEGATIVE_INFINITY,
    foughtFor: 0,
    refusedAt: Number.NEGATIVE_INFINITY,
    obs: null,
    obsAt: Number.NEGATIVE_INFINITY,
    obsDoneAt: Number.NEGATIVE_INFINITY,
    trace: null,
    saidForeign: false,
    startingSince: null,
  };
}

export function newKeeper(settings: CoreSettings, now: number): Keeper {
  return {
    settings,
    now,
    startedAt: now,
    links: new Map([[settings.name, newLink(settings.name, now)]]),
    registry: null,
    linksMatch: undefined,
    role: { kind: 'starting' },
    leads: false,
    seenMasterEpoch: -1,
    seenMasterAt: Number.NEGATIVE_INFINITY,
    seenByPeerAt: Number.NEGATIVE_INFINITY,
    nextId: 1,
    random: settings.seed >>> 0 || 1,
    listening: { voter: null, conninfo: null },
    rejoinTries: 0,
    pausedAt: null,
    saidPaused: false,
    overruledIn: null,
    handoverTrouble: null,
    poolsPaused: null,
    yields: null,
    brokenElections: 0,
    said: new Map(),
    twoNodesSince: null,
    journal: [],
    reportedState: '',
    word: null,
    wordAskedAt: Number.NEGATIVE_INFINITY,
    forced: null,
  };
}
