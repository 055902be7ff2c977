/**
 * A planned change of master on the side of those who do not hold the lease: the target elects as soon as the master has stopped,
 * the former master lets it, and in a pause nobody else stands.
 */
import { linkOf, masterLink, observe, ownLink, seenSince } from '../links.js';
import { forbidsPromotion, handoverIn, isHandedTo, isInMaintenance } from '../plan.js';
import type { Keeper, Link } from '../state.js';
import type { Turn } from '../turn.js';
import { failoverTimeMs, type LinkFailure, type Observation } from '../types.js';

const stopped: ReadonlySet<LinkFailure> = new Set<LinkFailure>(['planned-stop', 'shutting-down', 'refused']);

/** Its session ended with the stop that was announced, or it is a standby by now. */
function hasStopped(master: Link): boolean {
  if (master.session === 'open') return master.obs?.inRecovery === true;
  return (
    (master.cut !== null && stopped.has(master.cut)) ||
    (master.failure !== null && stopped.has(master.failure))
  );
}

/** The master of this epoch gave its place to this node and is gone. Votes are what makes it true: this only saves the wait. */
export function isMyTurn(k: Keeper, turn: Turn): boolean {
  const master = masterLink(k);
  if (master === undefined || master.voter === k.settings.name || !hasStopped(master)) return false;
  const own = ownLink(k);
  // The row that says so came just before the stop: it is read once more.
  if (!seenSince(own, master.cutAt)) observe(k, turn, own, 0);
  return isHandedTo(own.obs?.registry ?? null, k.settings.name) && isHandedTo(k.registry, k.settings.name);
}

/** Until when this former master leaves it to the node it handed over to; that one's silence ends it. */
export function yieldsUntil(k: Keeper): number {
  const handover = handoverIn(k.registry);
  if (handover === null || handover.target === null || handover.target === k.settings.name)
    return Number.NEGATIVE_INFINITY;
  const link = linkOf(k, handover.target);
  if (link === undefined || (link.session === 'none' && link.failure !== null))
    return Number.NEGATIVE_INFINITY;
  const known = k.yields?.epoch === handover.epoch ? k.yields.until : null;
  return known ?? k.startedAt + failoverTimeMs(k.settings);
}

/** Not a candidate now, whatever became of the master. */
export function isOutOfTurn(k: Keeper, ours: Observation): boolean {
  const { registry } = k;
  if (registry === null || isInMaintenance(registry, k.settings.name)) return true;
  return forbidsPromotion(registry, k.settings.name, ours);
}
