/**
 * The mistake that I5 excludes: what a worker does to another server travels apart from the session that holds its vote, as
 * one message on a connection of its own. Nothing ends it with the vote: a cut may deliver it long after.
 */
import type { Command } from '../../src/core/effects.js';
import type { Answer } from '../../src/core/events.js';
import { runCommand, StatementFailure } from './backend.js';
import type { Host } from './host.js';
import { Connection } from './network.js';
import { Session } from './session.js';

export function changesElsewhere(command: Command): boolean {
  return command.kind === 'follow' || command.kind === 'write-witness';
}

export function sendApart(
  host: Host,
  { server, token, database }: Session,
  command: Command,
  deadlineMs: number,
  answered: (answer: Answer) => void,
): void {
  const connection = new Connection(server.around.network, host, server.machine);
  connection.send(0, () =>
    server.receiveMessage(() => {
      if (server.life !== 'up') return;
      const session = new Session(server, connection, 'probe', database);
      session.token = token;
      const context = { ownName: host.name, leaseTtlMs: host.settings.leaseTtlMs, deadlineMs };
      const answer = atOnce(runCommand(session, command, context));
      if (answer !== null) connection.send(1, () => host.run(() => answered(answer)));
    }),
  );
}

function atOnce(steps: ReturnType<typeof runCommand>): Answer | null {
  try {
    for (;;) {
      const { done, value } = steps.next();
      if (done === true) return value;
    }
  } catch (error) {
    if (error instanceof StatementFailure) return null;
    throw error;
  }
}
