/** Effect -> port call. Every effect, exhaustively; what comes back comes as an event. */
import type { Effect } from '../core/effects.js';
import type { Ports } from '../ports.js';

export function perform(effect: Effect, ports: Ports, conninfoOf: (voter: string) => string | null): void {
  switch (effect.kind) {
    case 'open':
      return ports.voters.open(effect);
    case 'close':
      return ports.voters.close(effect.voter);
    case 'command':
      return ports.voters.command(effect.voter, effect.id, effect.command, effect.deadlineMs);
    case 'indirect-poll':
      return ports.probe.indirectPoll(
        effect.via,
        conninfoOf(effect.via) ?? '',
        effect.conninfo,
        effect.round,
        effect.deadlineMs,
      );
    case 'probe-own':
      return ports.probe.probeOwn(effect.deadlineMs);
    case 'listen':
      return ports.notifications.listen(effect.voter, effect.conninfo);
    case 'inspect-server':
      return ports.server.inspect();
    case 'retire-server':
      return ports.server.retire(effect.names);
    case 'start-server':
      return ports.server.start(effect.as);
    case 'checkpoint-own':
      return ports.server.checkpoint(effect.deadlineMs);
    case 'stop-server':
      return ports.server.stop(effect.deadlineMs);
    case 'pause-pools':
      return ports.pools.pause(effect.deadlineMs);
    case 'resume-pools':
      return ports.pools.resume();
    case 'rejoin-server':
      return ports.server.rejoin(effect.source, effect.mode, effect.follow);
    case 'end-wal-receiver':
      return ports.server.endWalReceiver();
    case 'run-hook':
      return ports.hooks.run(effect);
  }
}
