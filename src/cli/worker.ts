/**
 * `pgkeeper worker`: the one place where settings, core and adapters are put together, and where signals arrive.
 * What the worker then does is not here.
 */
import { slotNameOf } from '../core/slots/slot-names.js';
import { type CoreSettings, pollDeadlineMs } from '../core/types.js';
import { createLogger, decisionLog, goOnWithoutReader, type Logger } from '../logging.js';
import type { Emit, Ports } from '../ports.js';
import { PostgresNotifications } from '../postgres/notifications.js';
import { PgBouncerPools } from '../postgres/pools.js';
import { PostgresProbe } from '../postgres/probe.js';
import { PostgresVoterSessions } from '../postgres/voter-sessions.js';
import { systemClock } from '../process/clock.js';
import { GuardLink } from '../process/guard/guard-link.js';
import { CommandHooks } from '../process/hook.js';
import { LocalServer } from '../process/own-server.js';
import { createServerControl } from '../process/server-control.js';
import { ServiceManager } from '../process/service-manager.js';
import { claimDataDirectory } from '../process/single-worker.js';
import { WalTail } from '../process/wal-tail.js';
import { type LoadedSettings, type LoadRequest, loadSettings } from '../settings/load.js';
import { coreSettingsOf, type Settings } from '../settings/settings.js';
import { Worker, type WorkerView } from '../worker/worker.js';
import { CommandFailure, type ExitCode, exitCodes } from './exit-codes.js';
import { handOver } from './handover-at-stop.js';
import { refuseNamesake } from './namesake.js';
import { shownSettings } from './shown-settings.js';
import { usableSettings } from './usable-settings.js';
import { WorkerUpkeep } from './worker-upkeep.js';

/** Ending sessions takes a moment; a frozen server must not hold up the end of the worker. */
const stopBoundMs = 3000;
/** Whatever the worker waits for then, it has started: systemd need not wait for a server that is down. */
const readyBoundMs = 10_000;

/** Runs until a signal ends it. */
export async function runWorker(request: LoadRequest, handover = false): Promise<ExitCode> {
  // Until there is something to reload: a signal that comes early must not end the worker.
  process.on('SIGHUP', () => undefined);
  const loaded = await loadSettings({ ...request, finishesCopies: true });
  const settings = usableSettings(loaded);
  if (!(await claimDataDirectory(settings.dataDirectory ?? '')))
    throw new CommandFailure(
      exitCodes.refused,
      `another worker runs for ${settings.dataDirectory} on this host`,
      ['One is enough. To start this one instead, stop that one first (systemctl stop pgkeeper).'],
    );
  await refuseNamesake(loaded, settings);
  const daemon = new Daemon(request, loaded, settings, handover);
  return daemon.run();
}

class Daemon {
  readonly #request: LoadRequest;
  readonly #logger: Logger;
  readonly #worker: Worker;
  readonly #service: ServiceManager;
  readonly #upkeep: WorkerUpkeep;
  /** The name, the place and the way to the server stay as they were at the start. */
  #settings: Settings;
  #core: CoreSettings;
  #serverAsked: boolean;
  #shownState = '';
  #stopping = false;
  readonly #handover: boolean;
  #told = false;

  constructor(request: LoadRequest, loaded: LoadedSettings, settings: Settings, handover: boolean) {
    this.#request = request;
    this.#handover = handover;
    this.#settings = settings;
    this.#core = coreSettingsOf(settings);
    this.#serverAsked = loaded.server.kind === 'asked';
    this.#logger = createLogger(settings.logLevel, settings.nodeName, process.stdout.isTTY === true);
    this.#service = new ServiceManager(process.env, (message) => this.#logger.warn(message));
    this.#upkeep = new WorkerUpkeep({
      settings: () => this.#settings,
      logger: this.#logger,
      slotIsEverywhere: () => this.#worker.slotIsEverywhere(slotNameOf(this.#settings.nodeName)),
      // Settings count from the server's reload on, as everywhere in PostgreSQL; a worker started first reads them late.
      onAnswer: (reloaded) => {
        if (reloaded || !this.#serverAsked) this.#reload();
      },
    });
    this.#worker = new Worker(
      this.#core,
      (emit) => this.#ports(emit),
      (view) => this.#show(view),
    );
    for (const note of loaded.notes) this.#logger.warn(note);
    const { watchdogMs } = this.#service;
    if (watchdogMs !== null && watchdogMs > settings.leaseTtlMs / 2)
      this.#logger.warn(
        `WatchdogSec (${watchdogMs} ms) is more than half of lease_ttl (${settings.leaseTtlMs} ms): a worker that hangs costs a failover`,
      );
  }

  #ports(emit: Emit): Ports {
    const { nodeName, ownConninfo } = this.#settings;
    const deadlineMs = () => pollDeadlineMs(this.#core);
    const dataDirectory = () => this.#settings.dataDirectory ?? '';
    const walTail = new WalTail(dataDirectory());
    const control = createServerControl({
      dataDirectory,
      binDirectory: () => this.#settings.binDirectory,
      startCommand: () => this.#settings.startCommand,
      stopCommand: () => this.#settings.stopCommand,
      lostWalLimitBytes: () => this.#settings.lostWalLimitBytes,
    });
    const hooks = {
      nodeName,
      commands: () => ({
        fencing: this.#settings.fencingCommand,
        after: this.#settings.afterCommand,
        async: this.#settings.asyncCommand,
      }),
      deadlineMs: () => this.#settings.commandTimeoutMs,
      dataDirectory,
      conninfoOf: (node: string) => this.#worker.conninfoOf(node),
      log: (outcome: { readonly hook: string; readonly ok: boolean; readonly tookMs: number }) =>
        this.#logger[outcome.ok ? 'info' : 'warn'](
          outcome,
          `${outcome.hook}_command ${outcome.ok ? 'succeeded' : 'failed'} after ${outcome.tookMs} ms`,
        ),
    };
    return {
      clock: systemClock,
      voters: new PostgresVoterSessions(
        {
          nodeName,
          ownConninfo,
          leaseTtlMs: () => this.#settings.leaseTtlMs,
          connectTimeoutMs: deadlineMs,
          endsWithinRecord: (look) => walTail.endsWithinRecord(look),
        },
        emit,
      ),
      probe: new PostgresProbe(ownConninfo, emit),
      guard: new GuardLink({
        dataDirectory,
        command: [
          process.execPath,
          process.argv[1] ?? '',
          'guard',
          '-D',
          dataDirectory(),
          '--node-name',
          nodeName,
        ],
        log: (message) => this.#logger.warn(message),
      }),
      notifications: new PostgresNotifications(ownConninfo, deadlineMs, emit),
      server: new LocalServer(control, { nodeName, ownConninfo }, emit),
      hooks: new CommandHooks(hooks, emit),
      pools: new PgBouncerPools({ nodeName, consoles: () => this.#settings.pgbouncer }, emit),
      log: decisionLog(this.#logger),
    };
  }

  run(): Promise<ExitCode> {
    return new Promise((resolve) => {
      const end = (code: ExitCode) => {
        if (this.#stopping) return;
        this.#stopping = true;
        this.#upkeep.stop();
        endWatch();
        const bound = new Promise((done) => setTimeout(done, stopBoundMs).unref());
        Promise.race([Promise.all([this.#worker.stop(), this.#service.stopping()]), bound]).then(
          () => resolve(code),
          () => resolve(code),
        );
      };
      for (const signal of ['SIGTERM', 'SIGINT'] as const)
        process.on(signal, () => {
          this.#logger.info({ signal }, `worker stops: ${signal}`);
          // A second signal does not wait.
          const first = !this.#told;
          this.#told = true;
          if (this.#handover && first) void this.#handOver().then(() => end(exitCodes.done));
          else end(exitCodes.done);
        });
      process.on('SIGHUP', () => {
        this.#service.reloading();
        this.#reload(() => this.#service.reloaded());
      });
      goOnWithoutReader();
      const crash = (error: unknown) => {
        const stack = error instanceof Error ? error.stack : String(error);
        this.#logger.fatal({ error: stack }, 'worker crashes: an invariant is broken');
        process.exit(exitCodes.failed);
      };
      process.on('uncaughtException', crash);
      process.on('unhandledRejection', crash);
      this.#logger.info(shownSettings(this.#settings), `settings: T = ${this.#failoverMs()} ms`);
      this.#worker.start();
      this.#upkeep.start();
      const endWatch = this.#service.watch(() => this.#worker.takesTurns());
      setTimeout(() => this.#service.ready(), readyBoundMs).unref();
    });
  }

  #handOver(): Promise<void> {
    const log = (message: string) => this.#logger.info(message);
    return handOver(this.#settings.ownConninfo, () => this.#shownState, log);
  }

  /** `pg_keeper: n1 (master:connected, 3)`, as in the original; ps shows as much of it as the command line was long. */
  #show(view: WorkerView): void {
    const { state, nodes, hasRole } = view;
    this.#upkeep.show(view);
    this.#shownState = hasRole ? state : '';
    const text = `${this.#settings.nodeName} (${state}, ${nodes})`;
    process.title = `pg_keeper: ${text}`;
    this.#service.status(text);
    if (hasRole) this.#service.ready();
  }

  #failoverMs(): number {
    return this.#core.keepaliveTimeMs * this.#core.keepaliveCount;
  }

  #reload(whenDone: () => void = () => undefined): void {
    loadSettings(this.#request).then(
      (loaded) => {
        this.#take(loaded);
        whenDone();
      },
      (error: unknown) => {
        this.#logger.error({ error: String(error) }, 'settings could not be read again');
        whenDone();
      },
    );
  }

  #take(loaded: LoadedSettings): void {
    if (loaded.settings === null) {
      const text = `settings are refused, the old ones stay: ${loaded.problems.join('; ')}`;
      this.#logger.error({ problems: loaded.problems }, text);
      return;
    }
    this.#serverAsked ||= loaded.server.kind === 'asked';
    const next = { ...loaded.settings, ...pick(this.#settings, fixed) };
    const needRestart = fixed.filter((key) => loaded.settings?.[key] !== this.#settings[key]);
    if (needRestart.length > 0)
      this.#logger.warn(
        { needRestart },
        `takes effect after a restart of the worker: ${needRestart.join(', ')}`,
      );
    const before = JSON.stringify(this.#settings);
    this.#settings = next;
    if (JSON.stringify(next) === before) return;
    this.#core = coreSettingsOf(next, this.#core.seed);
    this.#logger.level = next.logLevel;
    this.#logger.info(shownSettings(next), 'settings changed');
    this.#worker.changeSettings(this.#core);
    this.#upkeep.soon();
  }
}

const fixed = ['nodeName', 'ownConninfo', 'dataDirectory'] as const;

function pick<T, K extends keyof T>(from: T, keys: readonly K[]): Pick<T, K> {
  return Object.fromEntries(keys.map((key) => [key, from[key]])) as Pick<T, K>;
}
