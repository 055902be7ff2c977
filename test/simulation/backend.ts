/**
 * What a worker's commands do on a modelled server, statement by statement, as src/postgres does it. Each `yield null` is
 * an answered statement (the next one comes over the network), each `yield ms` a wait inside a statement.
 */
import type { Awaited, Command, SyncRow } from '../../src/core/effects.js';
import type { Answer } from '../../src/core/events.js';
import { openRequest } from '../../src/core/plan.js';
import {
  compareRegistry,
  holdNames,
  type LinkFailure,
  type Registry,
  recentlyUsedMs,
} from '../../src/core/types.js';
import { namesOf } from './configuration.js';
import { lookAt, toLsn } from './look.js';
import { withOpenRequest, withPause, withRequest } from './planned-work-model.js';
import type { Server } from './server.js';
import type { Session } from './session.js';
import { shapedRow } from './shapes.js';

export class StatementFailure extends Error {
  readonly kind: LinkFailure;
  constructor(kind: LinkFailure, message: string) {
    super(message);
    this.kind = kind;
  }
}

export interface BackendContext {
  readonly ownName: string;
  readonly leaseTtlMs: number;
  readonly deadlineMs: number;
}

type Steps = Generator<number | null, Answer>;

const done: Answer = { kind: 'done' };

/** Commands that are one statement; null = it takes more. */
export function answerAtOnce(session: Session, command: Command): Answer | null {
  if (command.kind === 'renew') return { kind: 'renewed' };
  if (command.kind === 'observe' && command.wait === undefined)
    return { kind: 'observed', observation: lookAt(session) };
  return null;
}

export function* runCommand(session: Session, command: Command, context: BackendContext): Steps {
  const { server } = session;
  switch (command.kind) {
    case 'observe':
      if (command.wait !== undefined) yield* waitFor(session, command.wait);
      return { kind: 'observed', observation: lookAt(session) };
    case 'renew':
      return { kind: 'renewed' };
    case 'try-vote':
      return yield* tryVote(session, context, command.knownMs);
    case 'release':
      return yield* giveBack(session, { kind: 'released' });
    case 'follow':
      requireRecovery(server, true);
      yield null;
      server.alterSystem({ primaryConninfo: command.conninfo });
      yield null;
      server.alterSystem({ shortRetry: true });
      yield null;
      server.reload();
      return done;
    case 'shorten-retry':
    case 'reset-retry':
      server.alterSystem({ shortRetry: command.kind === 'shorten-retry' });
      yield null;
      server.reload();
      return done;
    case 'clear-fence':
      server.alterSystem({ fenced: false });
      yield null;
      server.reload();
      return done;
    case 'set-names':
      return yield* setNames(session, command.names, context.deadlineMs);
    case 'end-sessions':
      server.endClients(session);
      return done;
    case 'resume-replay':
      requireRecovery(server, true);
      yield null;
      server.recovery.paused = false;
      server.recovery.scheduleReplay();
      yield null;
      server.endClients(session);
      return done;
    case 'promote':
      requireRecovery(server, true);
      yield null;
      server.alterSystem({ primaryConninfo: command.conninfo });
      yield null;
      server.reload();
      server.say('is asked to promote');
      server.recovery.requestPromotion();
      return done;
    case 'prove-hold':
      return yield* proveHold(session, context.deadlineMs);
    case 'write-epoch':
      return yield* write(session, (row) => withEpoch(server, row, command, context.ownName), command.basis);
    case 'write-witness':
      return yield* keep(session, command);
    case 'write-sync':
      return yield* write(session, (row) => ({ ...row, ...syncColumns(command.sync) }));
    case 'write-voters':
      return yield* write(session, (row) => ({ ...row, voters: command.voters }));
    case 'write-flags':
      return yield* writeFlags(session, command.nextMaster, command.syncNames);
    case 'read-word':
      return { kind: 'word', acceptLoss: server.operatorWord };
    case 'write-request':
      return yield* write(session, (row) => withRequest(row, command));
    case 'end-pause':
      return yield* write(session, (row) => withPause(row, null));
    case 'read-wish': {
      const { userNames } = server.configuration;
      return {
        kind: 'wish',
        file: userNames === '' ? null : userNames,
        effective: namesOf(session.configuration),
      };
    }
    case 'report':
      requireRecovery(server, false);
      yield server.diskMs;
      server.append(200 + 150 * command.events.length);
      return done;
  }
}

function requireRecovery(server: Server, wanted: boolean): void {
  if (server.inRecovery !== wanted)
    throw new StatementFailure('speaks', wanted ? 'no longer in recovery' : 'in recovery');
}

/** A cheap question asked again and again for a tenth of a second at most. */
function* waitFor(session: Session, wait: Awaited): Generator<number | null, void> {
  const { server } = session;
  const { world } = server.around;
  const until = world.now + 100;
  for (
    let pauseMs = 2;
    world.now < until && !isReached(server, wait);
    pauseMs = Math.min(20, pauseMs * 1.5)
  ) {
    yield pauseMs;
    yield null;
  }
}

function isReached(server: Server, wait: Awaited): boolean {
  switch (wait.kind) {
    case 'writable':
      return !server.inRecovery;
    case 'streaming':
      return server.recovery.receiver?.sender != null && server.recovery.receiver.host === wait.host;
    case 'flushed':
      return (
        server.senders.filter((sender) => BigInt(Math.round(sender.flushed)) >= wait.lsn).length >= wait.count
      );
  }
}

function* tryVote(session: Session, context: BackendContext, knownMs: number): Steps {
  const { server } = session;
  session.idleTimeoutMs = context.leaseTtlMs / server.rate;
  yield null;
  const holder = server.locks.get(session.database);
  if (holder === undefined) {
    server.locks.set(session.database, session);
    session.locked = true;
  }
  const got = holder === undefined || holder === session;
  yield null;
  const granted = got && server.locks.size === 1;
  const birthAgeMs = (server.around.world.now - server.bornAt) * server.rate;
  if (!granted) {
    yield null;
    yield* giveBack(session, done);
  }
  const workers: string[] = [];
  const { now } = server.around.world;
  const since = now - recentlyUsedMs(context.leaseTtlMs) / server.rate;
  const bornUntil = now - knownMs / server.rate;
  for (const { kind, running, idleSince, bornAt, owner } of server.sessions)
    if (kind === 'worker' && bornAt <= bornUntil && (running || idleSince >= since)) workers.push(owner);
  return { kind: 'vote', granted, birthAgeMs, workers };
}

function* giveBack(session: Session, answer: Answer): Steps {
  session.server.unlock(session);
  session.idleTimeoutMs = 0;
  yield null;
  return answer;
}

function* setNames(session: Session, names: string | null, deadlineMs: number): Steps {
  const { server } = session;
  const { world } = server.around;
  server.alterSystem({ autoNames: names });
  yield null;
  server.reload();
  if (names === null) return done;
  const until = world.now + deadlineMs / 2;
  for (let pauseMs = 2; ; pauseMs = Math.min(50, pauseMs * 2)) {
    yield null;
    if (namesOf(session.configuration) === names) return done;
    if (world.now > until) throw new StatementFailure('speaks', 'the names did not take effect');
    yield pauseMs;
  }
}

/** The last answered statement was the commit: from then on it is flushed here. */
function* write(session: Session, change: (row: Registry) => Registry, basis: Registry | null = null): Steps {
  const { server } = session;
  requireRecovery(server, false);
  yield null;
  if (server.row === null) throw new StatementFailure('speaks', 'the registry row is empty');
  yield null;
  yield server.diskMs + server.around.world.random.tail(1, 20);
  const before = server.row;
  if (before === null) throw new StatementFailure('speaks', 'the registry row is empty');
  const after = change(before);
  const row = after === before ? before : shapedRow({ ...after, version: after.version + 1 });
  if (row.epoch < before.epoch) throw new StatementFailure('speaks', 'cluster_state moves forward only');
  const takenOver = basis !== null && compareRegistry(basis, before) > 0 ? basis : null;
  if (row !== before) server.writeRow(row, takenOver);
  yield null;
  return { kind: 'written', lsn: toLsn(server.end), registry: row };
}

function syncColumns(sync: SyncRow) {
  return { syncWish: sync.wish, syncMembers: sync.members, syncNeeded: sync.needed, syncWished: sync.wished };
}

function withEpoch(
  server: Server,
  row: Registry,
  command: Extract<Command, { kind: 'write-epoch' }>,
  master: string,
): Registry {
  const isNew = command.promoted || row.promotions.at(-1)?.timeline !== server.branch.tli;
  const promotionId = isNew ? `promotion ${server.branch.id} ${server.end}` : row.promotionId;
  const promotions =
    isNew && promotionId !== null
      ? [
          ...row.promotions,
          {
            timeline: server.branch.tli,
            id: promotionId,
            ...(command.promoted ? { epoch: command.epoch } : {}),
          },
        ]
      : row.promotions;
  const { epoch, basis } = command;
  // What a witness alone knew is taken over, as in src/postgres/write-epoch.ts.
  const newer = compareRegistry(basis, row) > 0;
  const known = newer
    ? { version: Math.max(row.version, basis.version), voters: basis.voters, nodes: basis.nodes }
    : {};
  const next = { ...row, ...known, epoch, master, promotionId, promotions, ...syncColumns(command.sync) };
  return withOpenRequest(next, openRequest(row));
}

/** is_nextmaster and is_sync live in node_info; a change of them raises the version. */
function* writeFlags(session: Session, next: string | null, names: readonly string[]): Steps {
  const { server } = session;
  const text = `${next ?? ''}/${names.join(',')}`;
  const same = server.around.flags.get(server.branch) === text;
  return yield* write(session, (row) => {
    if (same) return row;
    server.around.flags.set(server.branch, text);
    return { ...row };
  });
}

function* proveHold(session: Session, deadlineMs: number): Steps {
  const { server } = session;
  const { world } = server.around;
  const until = world.now + deadlineMs * 0.7;
  const not = (detail: string): Answer => ({ kind: 'proven', proven: false, detail });
  yield world.random.tail(6, 60);
  if (namesOf(server.postmasterConfiguration) !== holdNames)
    return not('the postmaster has not reloaded yet');
  if (server.inRecovery) throw new StatementFailure('speaks', 'in recovery');
  const marker = server.append(60);
  if (!server.waitingOn) return not('the marker commit did not wait');
  for (let pauseMs = 3; ; pauseMs = Math.min(100, pauseMs * 2)) {
    if (server.released >= marker || !server.waitingOn) return not('the marker commit did not wait');
    const counting = server.senders.filter((sender) => sender.priority > 0).length;
    if (counting === 0) return { kind: 'proven', proven: true, detail: 'marker waits, no walsender counts' };
    if (world.now > until) return not(`${counting} walsenders still count`);
    yield pauseMs;
  }
}

/** The newer of what is there and what is given, flushed before the answer. */
function* keep(session: Session, command: Extract<Command, { kind: 'write-witness' }>): Steps {
  const { server, token } = session;
  yield null;
  yield server.diskMs + server.around.world.random.tail(1, 20);
  const before = server.kept.get(token) ?? { registry: null, ballot: 0 };
  const { registry } = command;
  const isNewer =
    registry !== null &&
    (server.movesBack || before.registry === null || compareRegistry(registry, before.registry) > 0);
  const ballot = Math.max(before.ballot, command.ballot);
  server.kept.set(token, { registry: isNewer ? registry : before.registry, ballot });
  if (isNewer) {
    server.say(`keeps row (epoch ${registry.epoch}, version ${registry.version})`);
    server.around.watcher.kept(server, registry);
  }
  yield null;
  return { kind: 'observed', observation: lookAt(session) };
}
