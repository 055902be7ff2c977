/**
 * Commits that wait for standbys. Whether a commit waits is one flag of the checkpointer; who may release it is judged by
 * each walsender with its own copy of the names and of k.
 */
import type { WalSender } from './replication.js';
import type { Server } from './server.js';
import type { Session } from './session.js';

export interface CommitWaiter {
  readonly lsn: number;
  readonly session: Session;
  readonly done: () => void;
}

/** A commit whose record is flushed here: acknowledged now, or when standbys have it. */
export function waitForStandbys(server: Server, session: Session, lsn: number, done: () => void): void {
  if (!server.waitingOn || server.released >= lsn) {
    server.around.watcher.acknowledged(server, lsn, null);
    done();
    return;
  }
  server.waiters.push({ lsn, session, done });
}

/** SyncRepReleaseWaiters as that walsender runs it. */
export function releaseBy(server: Server, sender: WalSender): void {
  if (server.inRecovery || sender.priority === 0 || sender.state !== 'streaming') return;
  const { quorum, needed } = sender.setting;
  // PostgreSQL counts two walsenders of one name as two standbys, also for the moment in which a standby that reconnected
  // still has its old walsender: k >= 2 then means k - 1. A stated limit (a slot prevents it), so one name counts once here.
  if (server.waiters.length === 0 && server.released >= sender.flushed) return;
  const counted: WalSender[] = [];
  for (const [place, other] of server.senders.entries()) {
    if (other.priority === 0 || other.state !== 'streaming' || other.flushed <= 0) continue;
    if (!server.senders.some((twin, at) => at > place && twin.name === other.name && twin.priority > 0))
      counted.push(other);
  }
  if (counted.length < needed) return;
  let upTo: number;
  if (quorum) {
    counted.sort((a, b) => b.flushed - a.flushed);
    upTo = counted[needed - 1]?.flushed ?? 0;
  } else {
    counted.sort((a, b) => a.priority - b.priority);
    counted.length = needed;
    if (!counted.includes(sender)) return;
    upTo = Math.min(...counted.map((other) => other.flushed));
  }
  if (upTo <= server.released) return;
  server.released = upTo;
  if (server.waiters.length === 0) return;
  const ready = server.waiters.filter((waiter) => waiter.lsn <= upTo);
  if (ready.length === 0) return;
  server.waiters = server.waiters.filter((waiter) => waiter.lsn > upTo);
  for (const waiter of ready) {
    server.around.watcher.acknowledged(server, waiter.lsn, sender);
    waiter.done();
  }
}

/** Emptying the names releases all waiters as successes. */
export function releaseAll(server: Server): void {
  const ready = server.waiters;
  server.waiters = [];
  for (const waiter of ready) {
    server.around.watcher.acknowledged(server, waiter.lsn, null);
    waiter.done();
  }
}
