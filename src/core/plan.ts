/**
 * What people planned: maintenance, priorities, the pause, the request that is open. All of it is part of the registry row, so
 * that it is on a majority exactly when the row is. Looks only; what follows from it is decided where it matters.
 */
import type { Keeper } from './state.js';
import type { Observation, OpenRequest, Registry, Voter } from './types.js';

function plannedFor(registry: Registry | null, name: string): Voter | undefined {
  return registry?.nodes.find((node) => node.name === name);
}

export function isInMaintenance(registry: Registry | null, name: string): boolean {
  return plannedFor(registry, name)?.maintenance === true;
}

/** What an operator set with set_priority, else the setting of that server. */
export function priorityOf(registry: Registry | null, name: string, setting: number): number {
  return plannedFor(registry, name)?.priority ?? setting;
}

export function pauseOf(registry: Registry | null): 'on' | 'ending' | null {
  for (const node of registry?.nodes ?? []) if (node.pause !== undefined) return node.pause;
  return null;
}

export function openRequest(registry: Registry | null): OpenRequest | null {
  for (const node of registry?.nodes ?? []) if (node.request !== undefined) return node.request;
  return null;
}

/** The request by which the master of this very epoch gives its place away; null = it does not. */
export function handoverIn(registry: Registry | null): OpenRequest | null {
  const request = openRequest(registry);
  return request?.state === 'handing-over' && request.epoch === registry?.epoch ? request : null;
}

export function isHandedTo(registry: Registry | null, name: string): boolean {
  return handoverIn(registry)?.target === name;
}

/**
 * May this server come up as a standby when its host was started anew? Only where its worker makes it master again if nobody else
 * is: not in maintenance, nor with priority 0. Null while the server has not told its priority.
 */
export function comesBackFenced({ registry, settings, own }: Keeper): boolean | null {
  const node = plannedFor(registry, settings.name);
  if (node === undefined || node.maintenance === true) return false;
  const priority = node.priority ?? own.obs?.priority;
  return priority === undefined ? null : priority > 0;
}

/**
 * May no promotion begin by this row? In a pause only that of the node a switchover names, and of the former master that takes its
 * own place back. Or an operator overruled the pause on this server, the master being gone.
 */
export function forbidsPromotion(registry: Registry, name: string, ours: Observation | null): boolean {
  if (pauseOf(registry) === null || ours?.overruled === true) return false;
  return registry.master !== name && !isHandedTo(registry, name);
}

/** As the own server shows it: its row is the only place where a pause of this epoch begins and ends. */
export function isPaused(k: Keeper): boolean {
  return pauseOf(k.registry) !== null;
}

/**
 * Is the present pause on a majority? Then every election meets it, by the row it judges by, and nobody is promoted. A look is older
 * than the pause unless its row is at least as new as the first one in which this worker saw it.
 */
export function isPauseEstablished(k: Keeper, needed: number): boolean {
  const { pausedAt, role } = k;
  if (pausedAt === null || !isPaused(k) || k.registry === null) return false;
  if (k.registry.epoch !== pausedAt.epoch) return false;
  if (pausedAt.established) return true;
  // As this master saw it flushed: what an election judges by is all that was flushed on whom it holds.
  if (role.kind === 'master' && role.establishedVersion >= pausedAt.version) return true;
  const shown = k.registry.voters.filter(({ name }) => {
    const row = k.links.get(name)?.obs?.registry;
    return (
      row !== null && row !== undefined && row.epoch === pausedAt.epoch && row.version >= pausedAt.version
    );
  });
  return shown.length >= needed;
}
