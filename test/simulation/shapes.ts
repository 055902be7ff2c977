/**
 * What the core reads most, as objects of one hidden class each: rows, their nodes, settings. It looks at every node of its row many
 * times in each step; where these were put together by whatever spread had changed them last, there were more than a hundred classes,
 * and each look at a property was a search. Keys that are not set are there, as undefined: nothing asks for keys.
 */
import type { CoreSettings, Registry, Voter } from '../../src/core/types.js';

type AllKeys = { readonly [key in keyof Required<Voter>]: Voter[key] | undefined };

function shapedVoter(voter: Voter): Voter {
  const shaped: AllKeys = {
    name: voter.name,
    kind: voter.kind,
    conninfo: voter.conninfo,
    database: voter.database,
    seqno: voter.seqno,
    identity: voter.identity,
    maintenance: voter.maintenance,
    priority: voter.priority,
    pause: voter.pause,
    request: voter.request,
  };
  return shaped as Voter;
}

/** By list, so that an unchanged one stays the same object: the core tells changes by that. */
const shapedLists = new WeakMap<readonly Voter[], readonly Voter[]>();

function shapedList(list: readonly Voter[]): readonly Voter[] {
  let shaped = shapedLists.get(list);
  if (shaped === undefined) {
    shaped = list.map(shapedVoter);
    shapedLists.set(list, shaped);
    shapedLists.set(shaped, shaped);
  }
  return shaped;
}

export function shapedRow(row: Registry): Registry {
  return {
    epoch: row.epoch,
    version: row.version,
    promotionId: row.promotionId,
    promotions: row.promotions,
    systemIdentifier: row.systemIdentifier,
    master: row.master,
    syncWish: row.syncWish,
    syncMembers: row.syncMembers,
    syncNeeded: row.syncNeeded,
    syncWished: row.syncWished,
    voters: shapedList(row.voters),
    nodes: shapedList(row.nodes),
  };
}

export function shapedSettings(
  settings: Omit<CoreSettings, 'name' | 'seed'>,
  name: string,
  seed: number,
): CoreSettings {
  return {
    name,
    keepaliveTimeMs: settings.keepaliveTimeMs,
    keepaliveCount: settings.keepaliveCount,
    leaseTtlMs: settings.leaseTtlMs,
    fastFailover: settings.fastFailover,
    quorum: settings.quorum,
    priority: settings.priority,
    startupGraceMs: settings.startupGraceMs,
    fencingCommand: settings.fencingCommand,
    poolPauseMs: settings.poolPauseMs,
    seed,
  };
}
