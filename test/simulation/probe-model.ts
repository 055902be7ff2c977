/** Questions on fresh connections: what a peer sees (indirect polling), and whether the own server takes new sessions. */
import type { Emit, Probe } from '../../src/ports.js';
import { targetOf } from './configuration.js';
import type { Host } from './host.js';
import { Connection, type Machine } from './network.js';
import type { Server } from './server.js';

/** Connects and asks SELECT 1; `answer` gets what spoke, or null when nothing did in time. */
function ask(
  from: Machine,
  server: Server,
  deadlineMs: number,
  work: ((reply: (text: boolean | null) => void) => void) | null,
  answer: (said: 'answered' | 'spoke' | null, result: boolean | null) => void,
): void {
  const { world, network } = server.around;
  const connection = new Connection(network, from, server.machine);
  let over = false;
  const finish = (said: 'answered' | 'spoke' | null, result: boolean | null) => {
    if (over) return;
    over = true;
    connection.close(0);
    answer(said, result);
  };
  world.after(deadlineMs, () => finish(null, null));
  connection.onEnd[0] = () => finish(null, null);
  connection.send(0, () =>
    server.accept(connection, 'probe', 'postgres', (session) => {
      if (typeof session === 'string') {
        connection.send(1, () => finish(session === 'refused' ? null : 'spoke', null));
        return;
      }
      const reply = (result: boolean | null) => {
        if (session.alive) connection.send(1, () => finish('answered', result));
      };
      if (work === null) reply(true);
      else work(reply);
    }),
  );
}

export class ProbeModel implements Probe {
  readonly #host: Host;
  readonly #emit: Emit;

  constructor(host: Host, emit: Emit) {
    this.#host = host;
    this.#emit = emit;
  }

  indirectPoll(via: string, viaConninfo: string, target: string, round: number, deadlineMs: number): void {
    const { server } = this.#host;
    const { around } = server;
    const peer = around.serverNamed(targetOf(viaConninfo).host);
    const aim = around.serverNamed(targetOf(target).host);
    if (peer === undefined || aim === undefined) {
      this.#emit({ kind: 'indirect-answer', via, round, sees: null });
      return;
    }
    ask(
      this.#host,
      peer,
      deadlineMs,
      (reply) =>
        ask(peer.machine, aim, deadlineMs, null, (said) =>
          peer.receiveMessage(() => reply(said === 'answered')),
        ),
      (said, result) =>
        this.#emit({ kind: 'indirect-answer', via, round, sees: said === 'answered' ? result : null }),
    );
  }

  probeOwn(deadlineMs: number): void {
    const { server } = this.#host;
    ask(this.#host, server, deadlineMs, null, (said) =>
      this.#emit({ kind: 'own-probe', alive: said !== null }),
    );
  }
}
