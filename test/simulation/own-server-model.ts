/** The server beside a worker as processes and files, as src/process/own-server.ts drives it. */
import { ballotOf } from '../../src/core/votes/ballot.js';
import { fencedConninfo } from '../../src/core/watch/following.js';
import type { Emit, OwnServer } from '../../src/ports.js';
import { targetOf } from './configuration.js';
import type { Host } from './host.js';
import { toLsn } from './look.js';
import { checkpointSize, type Server } from './server.js';
import { commonEnd, commonEndByNumbers } from './wal.js';

export class OwnServerModel implements OwnServer {
  readonly #host: Host;
  readonly #emit: Emit;
  #gone = false;

  constructor(host: Host, emit: Emit) {
    this.#host = host;
    this.#emit = emit;
  }

  /** Programs the worker started end with it. */
  workerGone(): void {
    this.#gone = true;
  }

  /** Later, unless the worker (which does this) is gone; a stalled worker does it when it goes on. */
  #later(ms: number, action: () => void): void {
    const host = this.#host;
    const { generation } = host;
    host.world.after(ms, () => {
      if (!this.#gone && host.generation === generation) host.run(action);
    });
  }

  inspect(): void {
    const { server, world } = this.#host;
    this.#later(world.random.tail(10, 200), () => {
      if (server.life !== 'down') {
        this.#emit({ kind: 'server-inspected', server: 'running', standby: false });
        return;
      }
      const found = server.cleanShutdown && !server.handingOver ? 'stopped-clean' : 'crashed';
      const standby = server.standbySignal && !server.handingOver;
      this.#emit({ kind: 'server-inspected', server: found, standby });
    });
  }

  retire(names: string | null): void {
    const { server, world, mistakes } = this.#host;
    if (!mistakes.has('signal-last')) server.standbySignal = true;
    this.#later(world.random.tail(30, 300) + server.diesAfterMs, () => {
      server.crash('ended by its worker');
      this.#later(world.random.tail(5, 100), () => {
        markFenced(server, names);
        this.#emit({ kind: 'server-retired', ok: true, detail: '' });
      });
    });
  }

  checkpoint(): void {
    const { world } = this.#host;
    const ok = !world.random.chance(0.03);
    this.#later(world.random.tail(20, 4000), () =>
      this.#emit({ kind: 'own-checkpoint', ok, detail: ok ? '' : 'permission denied' }),
    );
  }

  /** A frozen standby holds a clean stop up; after the deadline the server is ended all the same. */
  stop(deadlineMs: number): void {
    const { server, world, mistakes } = this.#host;
    const told = (ok: boolean, detail: string) =>
      this.#emit({ kind: 'server-stopped', ok, detail, end: ok ? toLsn(server.end - checkpointSize) : null });
    let over = false;
    const { generation } = this.#host;
    server.handingOver = true;
    if (!mistakes.has('handover-unmarked')) server.standbySignal = true;
    server.stopForHandover(() => {
      if (over || this.#gone || this.#host.generation !== generation) return;
      over = true;
      this.#later(world.random.tail(5, 40), () => told(true, ''));
    });
    this.#later(deadlineMs, () => {
      if (over) return;
      over = true;
      server.crash('did not stop in time');
      told(false, 'the server does not stop in time');
    });
  }

  start(as: 'standby' | 'master'): void {
    const { server, world } = this.#host;
    this.#later(world.random.tail(50, 500), () => {
      server.standbySignal = as === 'standby';
      // pg_ctl restart: a server that runs is stopped first.
      server.stop(() => {
        if (server.start())
          this.#waitUp(() => this.#emit({ kind: 'server-started', ok: true, detail: '' }), 60_000);
        else this.#emit({ kind: 'server-started', ok: false, detail: 'pg_ctl start failed' });
      });
    });
  }

  #waitUp(then: () => void, leftMs: number): void {
    const { server, world } = this.#host;
    if (server.life === 'up') return then();
    if (leftMs <= 0 || server.life === 'down') {
      this.#emit({ kind: 'server-started', ok: false, detail: 'the server did not come up' });
      return;
    }
    const pauseMs = world.random.between(20, 100);
    this.#later(pauseMs, () => this.#waitUp(then, leftMs - pauseMs));
  }

  rejoin(source: string, mode: 'rewind-or-copy' | 'copy', follow: string): void {
    const { server, world } = this.#host;
    const upstream = server.around.serverNamed(targetOf(source).host);
    const fail = (detail: string) => this.#emit({ kind: 'server-rejoined', ok: false, detail });
    if (upstream === undefined) return fail('no such host');
    server.stop(() => {
      const outvoted = ballotOf(server.configuration.primaryConninfo) > ballotOf(follow);
      if (outvoted && !this.#host.mistakes.has('rejoin-blind')) {
        server.start();
        return fail('an election pointed this server elsewhere meanwhile');
      }
      const usable = () => upstream.writable && !upstream.frozen && this.#reaches(upstream);
      const startAgain = (detail: string) => {
        server.standbySignal = true;
        server.alterSystem({ primaryConninfo: follow, fenced: false });
        if (!server.start()) return fail('the server does not start');
        const wait = (leftMs: number) => {
          if (server.life === 'up') this.#emit({ kind: 'server-rejoined', ok: true, detail });
          else if (leftMs <= 0 || server.life === 'down') fail('the server did not come up');
          else this.#later(50, () => wait(leftMs - 50));
        };
        wait(60_000);
      };
      const copy = (why: string) => {
        this.#later(world.random.between(1000, 20_000), () => {
          if (!usable()) return fail('the copy broke off');
          server.branch = upstream.branch;
          server.end = upstream.end;
          server.standbySignal = true;
          server.broken = false;
          server.around.watcher.flushed(server);
          server.say(`is a copy of ${upstream.name} up to ${server.end}`);
          startAgain(why);
        });
      };
      this.#later(world.random.between(200, 1500), () => {
        if (!usable()) return fail('the source does not answer');
        if (mode === 'copy') return copy('fresh copy');
        const believed = commonEndByNumbers(server.branch, server.end, upstream.branch, upstream.end);
        const same = server.branch.tli === upstream.branch.tli || believed >= server.end;
        if (same) {
          this.#later(500, () => startAgain('nothing to rewind'));
          return;
        }
        const physical = commonEnd(server.branch, server.end, upstream.branch, upstream.end);
        if (believed > physical) {
          server.around.watcher.merged(
            server,
            `pg_rewind of ${server.name} believes in ${believed}, common is ${physical}`,
          );
        }
        server.broken = true;
        this.#later(world.random.between(300, 6000), () => {
          if (!usable()) return copy('fresh copy, since pg_rewind broke off');
          server.branch = upstream.branch;
          server.end = upstream.end;
          server.standbySignal = true;
          server.broken = false;
          server.around.watcher.flushed(server);
          server.say(`is rewound to ${physical} and filled from ${upstream.name} up to ${server.end}`);
          startAgain('rewound with pg_rewind');
        });
      });
    });
  }

  #reaches(upstream: Server): boolean {
    return upstream.around.network.connected(this.#host, upstream.machine);
  }

  endWalReceiver(): void {
    const { server, world } = this.#host;
    this.#later(world.random.tail(5, 50), () => {
      const { receiver } = server.recovery;
      if (receiver === null) return;
      receiver.end();
      server.recovery.receiverGone(receiver);
    });
  }
}

export function markFenced(server: Server, names: string | null): void {
  server.standbySignal = true;
  server.handingOver = false;
  server.alterSystem({
    primaryConninfo: fencedConninfo(server.configuration.primaryConninfo),
    fenced: true,
    ...(names === null ? {} : { autoNames: names }),
  });
}
