/** Is a server the one that was registered under a name? Pure values. */
import type { WitnessKey } from './effects.js';
import type { ReasonCode, ReasonValue } from './reasons.js';
import type { Observation, Registry, Voter } from './types.js';

/** Another cluster, another node, another server in the place of a witness: what it says and what it lends counts for nothing. */
export function isForeign(registry: Registry, voter: Voter, obs: Observation): boolean {
  if (voter.kind === 'witness') return !isSameWitness(voter, obs);
  const isOtherNode = obs.nodeName !== null && obs.nodeName !== voter.name;
  return isOtherNode || obs.systemIdentifier !== registry.systemIdentifier;
}

/** The very server that was added: a promoted copy or a restored snapshot has its data, but neither its locks nor its last row. */
function isSameWitness(voter: Voter, obs: Observation): boolean {
  const { identity } = voter;
  return (
    identity !== undefined &&
    !obs.inRecovery &&
    obs.systemIdentifier === identity.systemIdentifier &&
    obs.timeline === identity.timeline &&
    obs.address === identity.address
  );
}

/** What is told of a server that answers in the place of `voter`. */
export function foreignReason(
  voter: string,
  isWitness: boolean,
  { systemIdentifier: identifier, timeline, address, inRecovery, nodeName }: Observation,
): { readonly code: ReasonCode; readonly details: Readonly<Record<string, ReasonValue>> } {
  return isWitness
    ? { code: 'witness-changed', details: { voter, identifier, timeline, address, inRecovery } }
    : { code: 'foreign-server', details: { voter, identifier, name: nodeName ?? 'not set' } };
}

/** How a session to that witness names the cluster; null for a node. */
export function witnessKeyOf(registry: Registry | null, voter: Voter): WitnessKey | null {
  if (registry === null || voter.identity === undefined) return null;
  return { systemIdentifier: registry.systemIdentifier, token: voter.identity.token };
}
