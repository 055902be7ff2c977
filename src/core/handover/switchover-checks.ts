/**
 * What must be true before a master hands over, one sentence each: judged by the master's worker before it does anything, and by
 * `pgkeeper switchover --dry-run` from looks of its own. Pure values.
 */

import { formatLsn, type Lsn } from '../lsn.js';
import { isInMaintenance, priorityOf } from '../plan.js';
import { isOtherHistory } from '../ranking.js';
import type { Observation, Registry, WorkerTrace } from '../types.js';
import { majorityOf } from '../votes/lease.js';

export interface SwitchoverFacts {
  readonly registry: Registry;
  readonly target: string;
  /** The master's own server. */
  readonly master: Observation;
  /** The target's server; null = it does not answer. */
  readonly standby: Observation | null;
  readonly workerSeen: boolean;
  /** Voters whose votes the master holds. */
  readonly held: ReadonlySet<string>;
  readonly quorum: 'auto' | 'strict';
}

export interface SwitchoverCheck {
  readonly ok: boolean;
  readonly text: string;
}

/** What the target may still lack: it is sent while the server stops, and asked for before anybody gives a vote. */
export const nearBytes = 16n * 1024n * 1024n;

export function switchoverChecks(facts: SwitchoverFacts): readonly SwitchoverCheck[] {
  const { registry, target, master, standby, held, quorum } = facts;
  const checks: SwitchoverCheck[] = [];
  const check = (ok: boolean, good: string, bad: string) => checks.push({ ok, text: ok ? good : bad });
  const voter = registry.voters.find(({ name }) => name === target);
  const node = registry.nodes.find(({ name }) => name === target);
  check(
    voter?.kind === 'node' && node?.kind === 'node',
    `${target} is a node with a vote`,
    node === undefined ? `${target} is not registered` : `${target} is no node with a vote (yet)`,
  );
  check(
    !isInMaintenance(registry, target),
    `${target} is not in maintenance`,
    `${target} is in maintenance; end it first: pgkeeper maintenance ${target} off`,
  );
  if (standby === null) {
    check(false, '', `${target} does not answer`);
  } else {
    const priority = priorityOf(registry, target, standby.priority);
    check(
      priority > 0,
      `priority of ${target} is ${priority}`,
      `priority of ${target} is 0: never master; pgkeeper priority ${target} 100 would allow it`,
    );
    check(
      standby.inRecovery && !standby.fenced && !isOtherHistory(standby, master),
      `${target} is a standby of this history`,
      `${target} is ${standby.fenced ? 'fenced' : standby.inRecovery ? 'of another history' : 'writable'}; its own worker brings it back`,
    );
    check(!standby.replayPaused, `${target} replays`, `replay is paused on ${target}`);
  }
  const row = master.replication.find(({ name, state }) => name === target && state === 'streaming');
  check(
    row !== undefined,
    `${target} streams from ${registry.master}`,
    `${target} does not stream from ${registry.master}`,
  );
  if (row !== undefined) {
    const behind = (position: Lsn | null) => (position === null ? nearBytes : master.received - position);
    const lag = behind(row.flushLsn);
    check(
      lag < nearBytes,
      `${target} is ${lag > 0n ? lag : 0n} bytes behind ${formatLsn(master.received)}`,
      `${target} is ${lag} bytes behind; less than ${nearBytes} are needed`,
    );
    const replay = behind(standby?.replayed ?? row.replayLsn);
    check(
      replay < nearBytes,
      `${target} has replayed what it has received`,
      `${target} has ${replay} bytes to replay; less than ${nearBytes} are needed`,
    );
  }
  check(
    facts.workerSeen,
    `a worker runs beside ${target}`,
    `no worker is seen beside ${target}; start it (pgkeeper worker)`,
  );
  check(
    held.has(target),
    `its vote is held by ${registry.master}`,
    `its vote is not held by ${registry.master}; a server that has just started gives it when it is lease_ttl old`,
  );
  const left = registry.voters.filter(({ name }) => name !== registry.master && held.has(name)).length;
  const needed = majorityOf(registry.voters, quorum);
  check(
    left >= needed,
    `${left} of ${registry.voters.length} votes are there without ${registry.master}, ${needed} needed`,
    `without ${registry.master} only ${left} of ${registry.voters.length} votes are there, ${needed} are needed; wait for those of servers that have just started, or bring another node or a witness first`,
  );
  return checks;
}

/** Stands for the end of a name that application_name had no room for. */
export const cutMark = '...';

export function isSeen(workers: readonly WorkerTrace[], name: string): boolean {
  return workers.some(
    ({ name: shown }) =>
      shown === name || (shown.endsWith(cutMark) && name.startsWith(shown.slice(0, -cutMark.length))),
  );
}

/** Null = nothing speaks against it. */
export function switchoverProblem(facts: SwitchoverFacts): string | null {
  const bad = switchoverChecks(facts).filter(({ ok }) => !ok);
  return bad.length === 0 ? null : bad.map(({ text }) => text).join('; ');
}
