/** One look of a worker at a modelled server, as src/postgres/observation.ts and witness.ts take it. */

import type { Lsn } from '../../src/core/lsn.js';
import type { Observation, Registry, WorkerTrace } from '../../src/core/types.js';
import { ballotOf } from '../../src/core/votes/ballot.js';
import { namesOf } from './configuration.js';
import type { Server } from './server.js';
import type { Session } from './session.js';

const lsns = new Map<number, Lsn>();

export function toLsn(position: number): Lsn {
  let lsn = lsns.get(position);
  if (lsn === undefined) {
    if (lsns.size > 20_000) lsns.clear();
    lsn = BigInt(Math.round(position)) as Lsn;
    lsns.set(position, lsn);
  }
  return lsn;
}

export function lookAt(session: Session): Observation {
  const { server } = session;
  if (server.kind === 'node')
    return observe(session, server.row, ballotOf(session.configuration.primaryConninfo), '');
  const kept = server.kept.get(session.token);
  return observe(session, kept?.registry ?? null, kept?.ballot ?? 0, server.address);
}

function tracesOf(server: Server): readonly WorkerTrace[] {
  const traces: WorkerTrace[] = [];
  for (const { kind, owner, idleSince } of server.sessions)
    if (kind === 'worker')
      traces.push({ name: owner, silentMs: (server.around.world.now - idleSince) * server.rate });
  return traces;
}

/** Always the same keys in the same order: the core reads these objects more than anything else. */
function observe(session: Session, registry: Registry | null, ballot: number, address: string): Observation {
  const { server } = session;
  const { world } = server.around;
  const { configuration } = session;
  const { receiver } = server.recovery;
  const streams = receiver !== null && receiver.sender !== null;
  const received = server.inRecovery
    ? server.recovery.receiverRan
      ? server.end
      : server.recovery.replayed
    : server.end;
  return {
    systemIdentifier: server.systemIdentifier,
    nodeName: server.kind === 'node' ? server.name : null,
    inRecovery: server.inRecovery,
    timeline: server.branch.tli,
    received: toLsn(received),
    replayed: toLsn(server.inRecovery ? server.recovery.replayed : server.end),
    readToEnd: !server.inRecovery || server.recovery.receiverRan || server.recovery.atEnd,
    replayPaused: server.recovery.paused,
    walReceiver: streams
      ? {
          status: 'streaming',
          host: receiver.host,
          port: 5432,
          lastMessageAgeMs: (world.now - receiver.lastMessageAt) * server.rate,
        }
      : null,
    primaryConninfo: configuration.primaryConninfo,
    ballot,
    address,
    names: namesOf(configuration),
    fenced: configuration.fenced,
    birthAgeMs: (world.now - server.bornAt) * server.rate,
    priority: configuration.priority,
    replication: server.senders.map((sender) => ({
      name: sender.name,
      state: sender.state,
      flushLsn: sender.flushed > 0 ? toLsn(sender.flushed) : null,
      replayLsn: null,
      priority: sender.priority,
    })),
    workers: tracesOf(server),
    registry,
    retryOverride: configuration.shortRetry,
    overruled: server.inRecovery && server.overruled,
  };
}
