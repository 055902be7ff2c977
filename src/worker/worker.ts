/**
 * The loop: take an event, step, hand the effects out, log the reasons. No decision and no I/O of its own.
 */
import { messageOf } from '../core/error-text.js';
import type { KeeperEvent } from '../core/events.js';
import { guardOrder } from '../core/guard-deadline.js';
import { voterNamed, votersOf } from '../core/links.js';
import { newKeeper } from '../core/new-keeper.js';
import { comesBackFenced } from '../core/plan.js';
import type { Keeper } from '../core/state.js';
import { stateName, step } from '../core/step.js';
import { stopKeeper } from '../core/stop.js';
import type { CoreSettings, Voter } from '../core/types.js';
import { lapseVotes } from '../core/votes/lease.js';
import type { Ports } from '../ports.js';
import { Mailbox } from './mailbox.js';
import { perform } from './perform.js';

/** Wall time may drift from monotonic time by this much between two turns before it counts as a sleep of the machine. */
const jumpMs = 2000;

/** What others may see of a running worker. */
export interface WorkerView {
  readonly state: string;
  readonly nodes: number;
  /** It has looked at its server, or found it gone. */
  readonly hasRole: boolean;
}

export class Worker {
  readonly #ports: Ports;
  readonly #keeper: Keeper;
  readonly #mailbox = new Mailbox();
  readonly #onView: (view: WorkerView) => void;
  #running = false;
  #stopped = false;
  #cancelWake: () => void = () => undefined;
  #shown: WorkerView = { state: '', nodes: 0, hasRole: false };
  #recent: KeeperEvent[] = [];
  #offsetMs: number;
  #turns = 0;
  #remembered: { readonly nodes: readonly Voter[] | null; readonly isKept: boolean | null } = {
    nodes: null,
    isKept: false,
  };
  readonly #onWake = () => this.#receive({ kind: 'wake' });
  readonly #conninfoOf = (node: string) => voterNamed(this.#keeper, node)?.conninfo ?? null;

  constructor(
    settings: CoreSettings,
    portsFor: (emit: (event: KeeperEvent) => void) => Ports,
    onView: (view: WorkerView) => void,
  ) {
    this.#ports = portsFor((event) => this.#receive(event));
    this.#keeper = newKeeper(settings, this.#ports.clock.monotonicMs());
    this.#onView = onView;
    this.#offsetMs = this.#outerMs() - this.#ports.clock.monotonicMs();
  }

  start(): void {
    this.#receive({ kind: 'wake' });
  }

  /** How others reach a node, as the registry says; null = not registered, or not known yet. */
  conninfoOf(node: string): string | null {
    return this.#conninfoOf(node);
  }

  /** Every other node was seen to have that replication slot. */
  slotIsEverywhere(slot: string): boolean {
    const { registry, links, settings } = this.#keeper;
    const others =
      registry?.nodes.filter(({ kind, name }) => kind === 'node' && name !== settings.name) ?? [];
    return (
      others.length > 0 && others.every(({ name }) => links.get(name)?.obs?.slots?.includes(slot) === true)
    );
  }

  /** Takes a turn, also when nothing is due, and says whether it came to its end: the worker is alive. */
  takesTurns(): boolean {
    const before = this.#turns;
    this.#receive({ kind: 'wake' });
    return this.#turns > before;
  }

  hint(): void {
    this.#receive({ kind: 'hint' });
  }

  changeSettings(settings: CoreSettings): void {
    this.#receive({ kind: 'settings', settings });
  }

  /** Gives votes back where that is safe and ends every session. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelWake();
    const { clock, guard, log, notifications, voters } = this.#ports;
    const { turn, guardStays } = stopKeeper(this.#keeper, clock.monotonicMs());
    const state = stateName(this.#keeper);
    for (const record of turn.reasons) log.decision(record, state);
    for (const effect of turn.effects) perform(effect, this.#ports, () => null);
    await Promise.all([voters.end(), notifications.end(), guard?.end(guardStays)]);
  }

  #receive(event: KeeperEvent): void {
    if (this.#stopped) return;
    this.#mailbox.put(event);
    if (this.#running) return;
    this.#running = true;
    try {
      for (let next = this.#mailbox.take(); next !== undefined; next = this.#mailbox.take()) this.#turn(next);
    } finally {
      this.#running = false;
    }
  }

  #turn(event: KeeperEvent): void {
    const { clock, log } = this.#ports;
    const now = clock.monotonicMs();
    this.#noticeSleep(now);
    this.#recall(event);
    const turn = this.#step(event, now);
    const state = stateName(this.#keeper);
    for (const record of turn.reasons) log.decision(record, state);
    this.#show(state);
    this.#ports.guard?.tell(guardOrder(this.#keeper));
    this.#remember();
    for (const effect of turn.effects) perform(effect, this.#ports, this.#conninfoOf);
    this.#cancelWake();
    if (Number.isFinite(turn.wakeAt)) this.#cancelWake = clock.wakeAt(turn.wakeAt, this.#onWake);
    this.#turns += 1;
  }

  /** A broken invariant ends the process with what led to it; the supervisor starts it anew. */
  #step(event: KeeperEvent, now: number): ReturnType<typeof step> {
    try {
      return step(this.#keeper, event, now);
    } catch (error) {
      const cause = messageOf(error);
      throw new Error(
        `${cause}; role ${this.#keeper.role.kind}, last events: ${this.#recent.slice(-20).map(nameOf).join(', ')}`,
        {
          cause: error,
        },
      );
    }
  }

  /** Monotonic time that stood still while wall time went on means the votes may be older than they look. */
  #noticeSleep(now: number): void {
    const offset = this.#outerMs() - now;
    if (offset - this.#offsetMs > jumpMs) lapseVotes(this.#keeper);
    this.#offsetMs = offset;
  }

  /** A clock that goes on while the machine sleeps. */
  #outerMs(): number {
    const { clock } = this.#ports;
    return clock.bootMs === undefined ? clock.wallMs() : clock.bootMs();
  }

  #recall(event: KeeperEvent): void {
    this.#recent.push(event);
    if (this.#recent.length > 40) this.#recent = this.#recent.slice(-20);
  }

  /** The list is a new one only where the registry has changed; none where it is gone, or not known yet. */
  #remember(): void {
    const nodes = this.#keeper.registry?.nodes ?? null;
    const isKept = comesBackFenced(this.#keeper);
    const before = this.#remembered;
    if ((nodes === before.nodes && isKept === before.isKept) || this.#keeper.role.kind === 'rejoining')
      return;
    this.#remembered = { nodes, isKept };
    this.#ports.server.remember?.(nodes?.filter(({ kind }) => kind === 'node') ?? [], isKept);
  }

  #show(state: string): void {
    const nodes = votersOf(this.#keeper).length;
    const hasRole = this.#keeper.role.kind !== 'starting';
    const { state: before, nodes: count, hasRole: had } = this.#shown;
    if (state === before && nodes === count && hasRole === had) return;
    this.#shown = { state, nodes, hasRole };
    this.#ports.voters.setState(state);
    this.#onView(this.#shown);
  }
}

function nameOf(event: KeeperEvent): string {
  return event.kind === 'answer' ? `answer ${event.answer.kind} of ${event.voter}` : event.kind;
}
