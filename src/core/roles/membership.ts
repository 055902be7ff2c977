/** Voters in force follow what add_node and del_node ask for: one at a time, each on a majority before the next. */

import { linkOf, ownLink, votersOf } from '../links.js';
import type { Heirs, Master } from '../master-state.js';
import type { Arrived, Keeper } from '../state.js';
import { isIdle, note, send, type Turn } from '../turn.js';
import { failoverTimeMs, holdNames, type Observation, type Registry, type Voter } from '../types.js';
import { isVoteGood, majorityOf } from '../votes/lease.js';
import { keepsRow } from '../votes/witness.js';

export function decideMembership(k: Keeper, turn: Turn, m: Master, obs: Observation): void {
  const { registry } = k;
  const own = ownLink(k);
  if (registry === null || m.writing || m.change !== null || !isIdle(own)) return;
  if (m.pending !== null || m.establishedVersion !== registry.version) return;
  if (changeVoters(k, turn, m, registry, obs)) return;
  writeFlags(k, turn, m, registry);
}

/** Rows in which the voters are the nodes as they are registered: asked for in every step, and hardly ever otherwise. */
const settled = new WeakMap<Registry, boolean>();

function isSettledMembership(registry: Registry): boolean {
  const known = settled.get(registry);
  if (known !== undefined) return known;
  const { voters, nodes } = registry;
  const wished = (voter: Voter) => nodes.find((node) => isSameVoter(node, voter));
  const answer = voters.length === nodes.length && voters.every((voter) => isAsWished(voter, wished(voter)));
  settled.set(registry, answer);
  return answer;
}

/** The same node, or the very server that was added as witness: a witness added anew under its name is another voter. */
function isSameVoter(a: Voter, b: Voter): boolean {
  return a.name === b.name && a.kind === b.kind && a.identity?.token === b.identity?.token;
}

/** Reached in the same way, too. */
function isAsWished(voter: Voter, wished: Voter | undefined): boolean {
  if (wished === undefined) return false;
  const { conninfo, seqno, database } = wished;
  return voter.conninfo === conninfo && voter.seqno === seqno && voter.database === database;
}

function changeVoters(k: Keeper, turn: Turn, m: Master, registry: Registry, obs: Observation): boolean {
  if (isSettledMembership(registry)) return false;
  const voters = votersOf(k);
  const removed = voters.filter(
    (voter) => voter.name !== k.settings.name && !registry.nodes.some((wished) => isSameVoter(wished, voter)),
  );
  // Any of them: without one that votes the others may be no majority, and without one that is gone they are.
  if (removed.length > 0) return removed.some((voter) => removeVoter(k, turn, m, registry, voter, obs));
  const changed = registry.nodes.find((node) => {
    const voter = voters.find((candidate) => candidate.name === node.name);
    return voter !== undefined && !isAsWished(voter, node);
  });
  if (changed !== undefined) {
    return write(
      k,
      turn,
      m,
      voters.map((voter) => (voter.name === changed.name ? changed : voter)),
    );
  }
  for (const node of registry.nodes) {
    if (voters.some((voter) => voter.name === node.name)) continue;
    const next = [...voters, node];
    if (has(k, obs, node, registry) && carries(k, obs, next, registry) && write(k, turn, m, next)) {
      note(k, turn, 'voter-added', {
        voter: node.name,
        voters: next.length,
        needed: majorityOf(next, k.settings.quorum),
      });
      return true;
    }
  }
  return false;
}

/** A node that streams gets what is written next; a witness that keeps the present row is told of the next. */
function has(k: Keeper, obs: Observation, voter: Voter, registry: Registry): boolean {
  if (voter.kind === 'witness') return keepsRow(k, voter, registry);
  return obs.replication.some((row) => row.name === voter.name && row.state === 'streaming');
}

/** Overlapping majorities: before a set is written a majority of it votes for this master and can flush what it writes. */
function carries(k: Keeper, obs: Observation, voters: readonly Voter[], registry: Registry): boolean {
  // Strict also where two nodes alone would need one: half of the old set must not be left with its majority.
  const needed = majorityOf(voters, 'strict');
  const held = voters.filter((voter) => {
    const link = linkOf(k, voter.name);
    return link !== undefined && isVoteGood(k, link);
  });
  const flushing = voters.filter((voter) => voter.name === k.settings.name || has(k, obs, voter, registry));
  return held.length >= needed && flushing.length >= needed;
}

/** First out of R (master-sync does that), its overrides reset while its vote is held, then out of the voters. */
function removeVoter(
  k: Keeper,
  turn: Turn,
  m: Master,
  registry: Registry,
  removed: Voter,
  obs: Observation,
): boolean {
  if (registry.syncNeeded > 0 && registry.syncMembers.includes(removed.name)) return false;
  const link = removed.kind === 'node' ? linkOf(k, removed.name) : undefined;
  if (link?.obs && isVoteGood(k, link) && link.obs.names === holdNames) {
    if (send(k, turn, link, { kind: 'set-names', names: null })) link.obs = { ...link.obs, names: '' };
    return true;
  }
  const next = votersOf(k).filter((voter) => voter.name !== removed.name);
  if (!carries(k, obs, next, registry) || !write(k, turn, m, next)) return false;
  note(k, turn, 'voter-removed', {
    voter: removed.name,
    voters: next.length,
    needed: majorityOf(next, k.settings.quorum),
  });
  return true;
}

function write(k: Keeper, turn: Turn, m: Master, voters: readonly Voter[]): boolean {
  m.writing = send(k, turn, ownLink(k), { kind: 'write-voters', voters: voters.map(withoutPlan) });
  return m.writing;
}

/** What is planned for a node is looked up in the nodes: a copy would be out of date. */
function withoutPlan(voter: Voter): Voter {
  const { maintenance: _m, priority: _p, pause: _q, request: _r, ...rest } = voter;
  return rest;
}

/** is_nextmaster: first living node of the wish, else the lowest seqno that lives. is_sync: the wished nodes. */
function writeFlags(k: Keeper, turn: Turn, m: Master, registry: Registry): void {
  const wished = m.wishedMembers;
  const heirs = heirsOf(k, m, registry);
  const aliveSince = k.now - failoverTimeMs(k.settings);
  const next =
    heirs.names.find((name) => (m.streamingAt.get(name) ?? Number.NEGATIVE_INFINITY) > aliveSince) ?? null;
  if (m.flagsSent !== '' && m.flagsSent === heirs.told && heirs.next === next) return;
  const key = JSON.stringify([next, wished, [...heirs.names].sort()]);
  m.heirs = { ...heirs, next, told: key };
  if (key === m.flagsSent) return;
  if (!send(k, turn, ownLink(k), { kind: 'write-flags', nextMaster: next, syncNames: wished })) return;
  m.flagsSent = key;
  m.writing = true;
  note(k, turn, 'next-master', { next: next ?? 'nobody' });
}

/** Who would be the next master, best first: the wished standbys, then the rest by seqno. */
function heirsOf(k: Keeper, m: Master, registry: Registry): Heirs {
  const { wishedMembers: wished } = m;
  if (m.heirs?.nodes === registry.nodes && m.heirs.wished === wished) return m.heirs;
  const standbys = registry.nodes.filter(
    ({ kind, name, maintenance, priority }) =>
      kind === 'node' && name !== k.settings.name && maintenance !== true && priority !== 0,
  );
  const bySeqno = [...standbys].sort((a, b) => a.seqno - b.seqno).map((node) => node.name);
  const inWish = wished.filter((name) => bySeqno.includes(name));
  return {
    nodes: registry.nodes,
    wished,
    names: [...new Set([...inWish, ...bySeqno])],
    next: null,
    told: '',
  };
}

export function ingestMembership(_k: Keeper, _turn: Turn, m: Master, arrived: Arrived): void {
  if (arrived.command.kind === 'write-voters' || arrived.command.kind === 'write-flags') {
    m.writing = false;
    if (arrived.answer.kind === 'busy') m.flagsSent = '';
  }
}
