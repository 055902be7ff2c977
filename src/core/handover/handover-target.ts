/**
 * Whom a switchover goes to: the request is judged by looks that are younger than it, and the best of the able nodes is taken where
 * it names nobody. What is then done is handover.ts.
 */

import { linkOf, observe, seenSince, votersOf } from '../links.js';
import type { Master } from '../master-state.js';
import { pauseOf, priorityOf } from '../plan.js';
import type { Keeper } from '../state.js';
import { type Turn, wake } from '../turn.js';
import type { Observation, OpenRequest, Registry } from '../types.js';
import { heldVoters } from '../votes/lease.js';
import { isSeen, type SwitchoverFacts, switchoverProblem } from './switchover-checks.js';

/** Votes are tried for every half a second at most. */
const voteSlackMs = 1000;
const lookAgainMs = 100;

export type Verdict =
  | { readonly kind: 'wait' }
  | { readonly kind: 'refused'; readonly why: string }
  | { readonly kind: 'target'; readonly target: string };

/** `since`: when the request was taken up; `late`: what is not known by now does not count. */
export function judgeRequest(
  k: Keeper,
  turn: Turn,
  m: Master,
  request: OpenRequest,
  registry: Registry,
  obs: Observation,
  since: number,
  late: boolean,
): Verdict {
  const settled = isAtRest(m, registry);
  if (!settled && !late) return { kind: 'wait' };
  const nodes = registry.nodes.filter(({ kind, name }) => kind === 'node' && name !== k.settings.name);
  const asked = request.target === null ? nodes : nodes.filter(({ name }) => name === request.target);
  const names = asked.map(({ name }) => name);
  if (!looked(k, turn, since, names) && !late) return { kind: 'wait' };
  const judged = names.map((name) => ({ name, problem: problemOf(k, registry, obs, name) }));
  const able = judged.filter(({ problem }) => problem === null).map(({ name }) => name);
  const target = best(k, registry, able);
  if (target === null && !late && isVoteOnItsWay(k, turn)) return { kind: 'wait' };
  if (!settled) return refused('another change of the registry does not end');
  if (pauseOf(registry) !== null && request.target === null)
    return refused('the cluster is paused, so no target is chosen by itself');
  if (target !== null) return { kind: 'target', target };
  if (asked.length === 0) return refused(`${request.target} is not registered`);
  return refused(judged.map(({ problem }) => problem).join('; '));
}

function refused(why: string): Verdict {
  return { kind: 'refused', why };
}

/** Nothing is being changed, and a majority has the last change. */
export function isAtRest(m: Master, registry: Registry): boolean {
  return m.change === null && m.pending === null && m.establishedVersion === registry.version;
}

/** A server that answers and has just started gives its vote once it is lease_ttl old: that is worth the wait. */
function isVoteOnItsWay(k: Keeper, turn: Turn): boolean {
  const young = votersOf(k).some(({ name }) => {
    const link = linkOf(k, name);
    if (link?.session !== 'open' || link.vote !== null || !link.obs) return false;
    return link.obs.birthAgeMs + (k.now - link.obsAt) < k.settings.leaseTtlMs + voteSlackMs;
  });
  if (young) wake(k, turn, k.now + lookAgainMs);
  return young;
}

/** Judged by looks at the targets that are younger than `since`. */
export function looked(k: Keeper, turn: Turn, since: number, names: readonly string[]): boolean {
  let all = true;
  for (const name of names) {
    const link = linkOf(k, name);
    if (link === undefined || link.session !== 'open' || seenSince(link, since)) continue;
    observe(k, turn, link, 0);
    all = false;
  }
  return all;
}

export function problemOf(k: Keeper, registry: Registry, obs: Observation, target: string): string | null {
  return switchoverProblem(factsOf(k, registry, obs, target));
}

function factsOf(k: Keeper, registry: Registry, obs: Observation, target: string): SwitchoverFacts {
  const link = linkOf(k, target);
  return {
    registry,
    target,
    master: obs,
    standby: link?.session === 'open' ? link.obs : null,
    workerSeen: isSeen(obs.workers, target),
    held: new Set(heldVoters(k).map(({ name }) => name)),
    quorum: k.settings.quorum,
  };
}

/** Members of R first (they have every commit already), then priority, then seqno. */
function best(k: Keeper, registry: Registry, names: readonly string[]): string | null {
  const rankOf = (name: string) => ({
    inSet: registry.syncMembers.includes(name) ? 1 : 0,
    priority: priorityOf(registry, name, linkOf(k, name)?.obs?.priority ?? 0),
    seqno: registry.nodes.find((node) => node.name === name)?.seqno ?? 0,
  });
  const sorted = [...names].sort((a, b) => {
    const [one, two] = [rankOf(a), rankOf(b)];
    return two.inSet - one.inSet || two.priority - one.priority || one.seqno - two.seqno;
  });
  return sorted[0] ?? null;
}
