/** The OwnServer port over ServerControl: each request once at a time, every outcome an event. */
import { maskedMessageOf } from '../core/error-text.js';
import type { LostWal } from '../core/events.js';
import type { Lsn } from '../core/lsn.js';
import type { Emit, OwnServer } from '../ports.js';
import { checkpointNow } from './clean-stop.js';
import type { KnownNode } from './known-nodes.js';
import { finishUnfinished, rejoinServer } from './rejoin-server.js';
import type { ServerControl } from './server-control.js';

const endBoundMs = 10_000;
const startBoundMs = 60_000;

export class LocalServer implements OwnServer {
  readonly #control: ServerControl;
  readonly #nodeName: string;
  readonly #emit: Emit;
  readonly #ownConninfo: string;
  #hasNodes = false;

  constructor(
    control: ServerControl,
    own: { readonly nodeName: string; readonly ownConninfo: string },
    emit: Emit,
  ) {
    this.#control = control;
    this.#nodeName = own.nodeName;
    this.#ownConninfo = own.ownConninfo;
    this.#emit = emit;
  }

  inspect(): void {
    this.#control.inspect().then(
      (server) => {
        if (server.kind === 'running')
          return this.#emit({ kind: 'server-inspected', server: 'running', standby: false });
        this.#emit({
          kind: 'server-inspected',
          // A fenced server was stopped by a worker that did not live to go on: it is started, not left alone.
          // One that was never a node is no worker's business, however it ended: nobody would lead it out of recovery again.
          server: server.fenced || (!server.clean && this.#isNode()) ? 'crashed' : 'stopped-clean',
          standby: server.standbySignal,
        });
      },
      () => this.#emit({ kind: 'server-inspected', server: 'running', standby: false }),
    );
  }

  /** Dead first, then marked: votes are given back only when both are done. */
  retire(names: string | null): void {
    const retired = async () => {
      // First of all, so that a supervisor's restart between the two steps brings up no master.
      // A disk that takes no file must not keep the server alive, so it does not matter here whether this works.
      attempt(() => this.#control.forbidWritableStart());
      if (!(await this.#control.endAllProcesses(endBoundMs)))
        throw new Error('processes of the server are left');
      this.#control.markFenced(names);
    };
    retired().then(
      () => this.#emit({ kind: 'server-retired', ok: true, detail: '' }),
      (error: unknown) => this.#emit({ kind: 'server-retired', ok: false, detail: maskedMessageOf(error) }),
    );
  }

  checkpoint(deadlineMs: number): void {
    checkpointNow(this.#ownConninfo, deadlineMs).then(
      () => this.#emit({ kind: 'own-checkpoint', ok: true, detail: '' }),
      (error: unknown) => this.#emit({ kind: 'own-checkpoint', ok: false, detail: maskedMessageOf(error) }),
    );
  }

  /** One that does not stop in time is ended for certain: what comes next is a start. */
  stop(deadlineMs: number): void {
    const stopped = (ok: boolean, detail: string, end: bigint | null) =>
      this.#emit({ kind: 'server-stopped', ok, detail, end: end === null ? null : (end as Lsn) });
    this.#control.stopCleanly(deadlineMs).then(
      (end) => stopped(true, '', end),
      (error: unknown) => {
        const failed = () => stopped(false, maskedMessageOf(error), null);
        this.#control.endAllProcesses(endBoundMs).then(failed, failed);
      },
    );
  }

  start(as: 'standby' | 'master'): void {
    const started = async () => {
      const detail = await finishUnfinished(this.#control, this.#nodeName);
      await this.#control.start(startBoundMs, as);
      return detail;
    };
    started().then(
      (detail) => this.#emit({ kind: 'server-started', ok: true, detail }),
      (error: unknown) => this.#emit({ kind: 'server-started', ok: false, detail: maskedMessageOf(error) }),
    );
  }

  rejoin(source: string, mode: 'rewind-or-copy' | 'copy', follow: string): void {
    let lost: LostWal | null = null;
    const request = {
      source,
      mode,
      follow,
      sameNumberTwice: mode === 'copy',
      onLost: (found: LostWal) => {
        lost = found;
      },
    };
    rejoinServer(this.#control, request).then(
      (detail) => this.#emit({ kind: 'server-rejoined', ok: true, detail, lost }),
      (error: unknown) =>
        this.#emit({ kind: 'server-rejoined', ok: false, detail: maskedMessageOf(error), lost }),
    );
  }

  remember(nodes: readonly KnownNode[], isKept: boolean | null): void {
    this.#hasNodes ||= nodes.length > 0;
    this.#control.remember(nodes, isKept);
  }

  /** By what this worker has heard, or one before it has left in the data directory. */
  #isNode(): boolean {
    return this.#hasNodes || this.#control.nodes().length > 0;
  }

  endWalReceiver(): void {
    this.#control.endWalReceiver().catch(() => undefined);
  }
}

/** For what is done again, and checked, later. */
function attempt(action: () => void): void {
  try {
    action();
  } catch {
    // Told by the step that needs it.
  }
}
