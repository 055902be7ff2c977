/**
 * The worker's upkeep, every 10 s: has the server reloaded its files, which objects are installed, are there old events, are the
 * replication slots right? Tells the log what changed. Decides nothing, and nothing waits for it.
 */
import type pg from 'pg';
import { messageOf } from '../core/error-text.js';
import type { SlotAction } from '../core/slots/slot-plan.js';
import type { Logger } from '../logging.js';
import { KeptSession } from '../postgres/kept-session.js';
import { type InstalledSchema, judgeSchema } from '../postgres/schema-version.js';
import { describeAction, type SlotReport, tendSlots } from '../postgres/slots.js';
import { eventBatch, lookAfter } from '../postgres/upkeep.js';
import type { Settings } from '../settings/settings.js';
import type { WorkerView } from '../worker/worker.js';
import { programVersion } from './version.js';

const upkeepMs = 10_000;
/** After a change of the cluster; long enough to stay out of the way of a failover. */
const soonMs = 1000;
/** Between two looks for old events where there was not a whole batch of them. */
const retentionPauseMs = 600_000;
/** Of every statement. */
const deadlineMs = 3000;

export interface WorkerUpkeepOptions {
  readonly settings: () => Settings;
  readonly logger: Logger;
  /** Was every other node seen to have the replication slot of this one? */
  readonly slotIsEverywhere: () => boolean;
  /** The server answered; `reloaded`: it has read its files again since the last time. */
  readonly onAnswer: (reloaded: boolean) => void;
}

export class WorkerUpkeep {
  readonly #options: WorkerUpkeepOptions;
  readonly #session = new KeptSession('pgkeeper upkeep');
  readonly #sessionOnMaster = new KeptSession('pgkeeper upkeep');
  #view: WorkerView = { state: '', nodes: 0, hasRole: false };
  #timer: NodeJS.Timeout | null = null;
  #soon: NodeJS.Timeout | null = null;
  #polling = false;
  #confLoadedAt: string | null = null;
  #schemaSaid = '';
  #failuresSaid = '';
  #retentionAt = 0;

  constructor(options: WorkerUpkeepOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setInterval(() => this.#poll(), upkeepMs);
    this.#poll();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    if (this.#soon !== null) clearTimeout(this.#soon);
    this.#timer = null;
    this.#endSessions();
  }

  #endSessions(): void {
    this.#session.end();
    this.#sessionOnMaster.end();
  }

  /**
   * Something has changed that slots depend on: the next time need not be awaited. Standbys come after the master, which makes the
   * slots they look for, and not at the same time, since each starts its WAL receiver anew.
   */
  soon(): void {
    if (this.#timer === null) return;
    if (this.#soon !== null) clearTimeout(this.#soon);
    const isMaster = this.#view.state.startsWith('master:');
    this.#soon = setTimeout(() => this.#poll(), isMaster ? soonMs : (1.5 + Math.random()) * soonMs);
  }

  /** A new role or another number of nodes brings the next time forward. */
  show(view: WorkerView): void {
    const before = this.#view;
    this.#view = view;
    if (view.nodes !== before.nodes || isCalm(view) !== isCalm(before)) this.soon();
  }

  #poll(): void {
    if (this.#timer === null) return;
    if (this.#polling) return this.soon();
    this.#polling = true;
    const work = async (client: pg.Client) => {
      const { eventRetentionMs, nodeName, manageSlots } = this.#options.settings();
      const isMaster = this.#view.hasRole && this.#view.state.startsWith('master:');
      const tidies = isMaster && eventRetentionMs > 0 && performance.now() >= this.#retentionAt;
      const found = await lookAfter(client, tidies ? eventRetentionMs : null, deadlineMs);
      if (tidies) this.#sayDeleted(found.deletedEvents);
      this.#saySchema(found.schema);
      const reloaded = this.#confLoadedAt !== null && this.#confLoadedAt !== found.confLoadedAt;
      this.#confLoadedAt = found.confLoadedAt;
      this.#options.onAnswer(reloaded);
      if (!isCalm(this.#view)) return;
      const isEverywhere = this.#options.slotIsEverywhere();
      const node = { name: nodeName, manages: manageSlots, isEverywhere };
      this.#saySlots(await tendSlots(client, this.#sessionOnMaster, node, deadlineMs).catch(failed));
    };
    this.#session
      .run(this.#options.settings().ownConninfo, deadlineMs, work)
      .catch(() => undefined)
      .finally(() => {
        this.#polling = false;
        // Opened while it was stopped.
        if (this.#timer === null) this.#endSessions();
      });
  }

  #sayDeleted(deletedEvents: number): void {
    this.#retentionAt = performance.now() + (deletedEvents < eventBatch ? retentionPauseMs : 0);
    if (deletedEvents > 0)
      this.#options.logger.debug({ deletedEvents }, `${deletedEvents} old events deleted`);
  }

  /** Nothing installed is told elsewhere: it may be meant so. */
  #saySchema(schema: InstalledSchema | null): void {
    if (schema === null || schema.kind === 'missing') return;
    const { logger } = this.#options;
    const verdict = judgeSchema(schema, programVersion());
    const text = verdict.kind === 'usable' ? '' : `${verdict.reason}; ${verdict.mend}`;
    if (text === this.#schemaSaid) return;
    this.#schemaSaid = text;
    if (verdict.kind === 'usable') logger.info(`the installed objects have version ${verdict.version} now`);
    else logger.warn(`${text}${verdict.kind === 'differs' ? '; the worker goes on with them' : ''}`);
  }

  #saySlots({ done, failures }: SlotReport): void {
    const { logger } = this.#options;
    for (const action of done) logger[levelOf(action)](describeAction(action));
    const text = failures.join('; ');
    if (text !== '' && text !== this.#failuresSaid) logger.warn(text);
    this.#failuresSaid = text;
  }
}

/** No election is near, so that nothing of its time is taken, and no slot changes under it. */
function isCalm({ state, hasRole }: WorkerView): boolean {
  return hasRole && /^(master:.*|standby:(connected|ready))$/.test(state);
}

function levelOf(action: SlotAction): 'debug' | 'info' | 'warn' {
  if (action.kind === 'advance') return 'debug';
  return action.kind === 'remake' && action.since === 'lost' ? 'warn' : 'info';
}

function failed(error: unknown): SlotReport {
  const text = messageOf(error);
  return { done: [], failures: [`the replication slots could not be looked at: ${text}`] };
}
