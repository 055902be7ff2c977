/**
 * A cluster under the hand of a schedule: readable steps (cut, crash, stall, write, until ...) and what must hold after
 * them. Time goes on only inside `run` and `until`; a broken rule of a checker ends the play at once. Nothing is random but
 * latencies and other small delays.
 */
import type { ReasonCode } from '../../../src/core/reasons.js';
import type { Registry } from '../../../src/core/types.js';
import type { Cluster } from '../cluster.js';
import { healAll } from '../faults.js';
import type { Host, WorkerClass } from '../host.js';
import type { Machine, Path } from '../network.js';
import { boot } from '../process-faults.js';
import { judgeEnd, problemOf } from '../run.js';
import type { Server } from '../server.js';
import { holds } from '../wal.js';
import { type Decision, Decisions } from './decisions.js';
import { clusterOf, type Setting } from './setting.js';
import { type Commit, StalledStream, writeOnce } from './streams.js';

/** Something did not come about, or a checker reported. */
export class Unfulfilled extends Error {}

/** Who ends a play: whatever is not as expected, or a checker alone. */
export type Judges = 'all' | 'checkers';

/** How long a step may take unless told otherwise: well beyond startup grace and T. */
const patienceMs = 90_000;

export class Stage {
  readonly cluster: Cluster;
  readonly #judges: Judges;
  readonly #decisions: Decisions;
  #missed: Unfulfilled | null = null;
  #stalls: StalledStream[] = [];

  constructor(
    setting: Setting,
    seed: number,
    workerClass: WorkerClass,
    recording: boolean,
    judges: Judges = 'all',
  ) {
    this.#judges = judges;
    this.cluster = clusterOf(setting, seed, workerClass, recording);
    this.#decisions = new Decisions(this.cluster, (action) => this.#guarded(action));
  }

  /** The cluster up, n1 its master, everything as wished, nobody writing. */
  begin(): void {
    this.cluster.start();
    this.cluster.stopWriters();
    this.until('the cluster is whole', () => problemOf(this.cluster) === null);
    this.run(2 * this.cluster.topology.settings.leaseTtlMs);
    this.untilMaster('n1');
    this.forgetDecisions();
  }

  /** All faults over: writes soon, everything as wished, and it stays so (L1, L2). */
  finish(): void {
    healAll(this.cluster);
    this.#decisions.forgetAmbushes();
    for (const { name } of this.cluster.hosts) this.letStreamGo(name);
    this.writeAll();
    judgeEnd(this.cluster);
    this.#judge();
  }

  say(what: string): void {
    this.cluster.world.say('schedule', what);
  }

  // ---- who ----

  get now(): number {
    return this.cluster.world.now;
  }

  host(name: string): Host {
    const host = this.cluster.hosts.find((candidate) => candidate.name === name);
    if (host === undefined) throw new Error(`no node ${name}`);
    return host;
  }

  server(name: string): Server {
    const server = this.cluster.serverNamed(name);
    if (server === undefined) throw new Error(`no server ${name}`);
    return server;
  }

  #machine(name: string): Machine {
    return this.server(name).machine;
  }

  get #everybody(): readonly string[] {
    return [...this.cluster.hosts, ...this.cluster.witnesses].map(({ name }) => name);
  }

  // ---- time ----

  run(ms: number): void {
    this.cluster.world.runUntil(this.now + ms);
    this.#judge();
  }

  #judge(): void {
    if (this.#missed !== null) throw this.#missed;
    const [violation] = this.cluster.watcher.violations;
    if (violation !== undefined) throw new Unfulfilled(`${violation.rule}: ${violation.what}`);
  }

  until(what: string, holdsNow: () => boolean, withinMs = patienceMs): void {
    const until = this.now + withinMs;
    while (!holdsNow()) {
      if (this.now >= until) throw new Unfulfilled(`not in ${withinMs} ms: ${what}`);
      this.run(1);
    }
  }

  /** For that long it does not come about. */
  never(what: string, forMs: number, holdsNow: () => boolean): void {
    for (const until = this.now + forMs; this.now < until; this.run(1))
      if (holdsNow()) return this.#miss(`should not be: ${what}`);
  }

  expect(what: string, holdsNow: boolean): void {
    if (!holdsNow) this.#miss(`expected: ${what}`);
  }

  /** Not as expected. Where checkers judge, what follows from it is waited for. */
  #miss(what: string): void {
    if (this.#judges === 'all') throw new Unfulfilled(what);
    this.say(what);
  }

  // ---- decisions ----

  /** Not the fault of the worker in whose turn this is. */
  #guarded(action: () => void): void {
    try {
      action();
    } catch (error) {
      if (!(error instanceof Unfulfilled)) throw error;
      this.#missed ??= error;
    }
  }

  /** In the very moment of that host's next such decision, before anything of it is sent. */
  at(host: string, code: ReasonCode, action: () => void): void {
    this.#decisions.ambush(host, code, action);
  }

  /** Everything decided so far is history. */
  forgetDecisions(): void {
    this.#decisions.forget();
  }

  decisions(code: ReasonCode, host?: string): readonly Decision[] {
    return this.#decisions.of(code, host);
  }

  untilDecision(host: string, code: ReasonCode, withinMs = patienceMs): Decision {
    const before = this.decisions(code, host).length;
    this.until(`${host} decides ${code}`, () => this.decisions(code, host).length > before, withinMs);
    return this.decisions(code, host).at(-1) as Decision;
  }

  /** Now, or before since the last time everything was made history. */
  untilDecided(host: string, code: ReasonCode, withinMs = patienceMs): void {
    this.until(`${host} decides ${code}`, () => this.decisions(code, host).length > 0, withinMs);
  }

  expectDecided(code: ReasonCode, host?: string): Decision {
    const [first] = this.decisions(code, host);
    if (first === undefined) throw new Unfulfilled(`expected: ${host ?? 'somebody'} decided ${code}`);
    return first;
  }

  expectNotDecided(code: ReasonCode, host?: string): void {
    const [first] = this.decisions(code, host);
    if (first !== undefined)
      this.#miss(`should not be: ${first.host} decided ${code} ${JSON.stringify(first.details)}`);
  }

  // ---- masters ----

  isMaster(name: string): boolean {
    const { server, state } = this.host(name);
    return server.writable && /^master:(connected|async)$/.test(state);
  }

  untilMaster(name: string, withinMs = patienceMs): void {
    this.until(`${name} is master`, () => this.isMaster(name), withinMs);
  }

  untilAnyMaster(among: readonly string[], withinMs = patienceMs): string {
    this.until(
      `one of ${among.join(', ')} is master`,
      () => among.some((name) => this.isMaster(name)),
      withinMs,
    );
    return among.find((name) => this.isMaster(name)) as string;
  }

  neverMaster(among: readonly string[], forMs: number): void {
    this.never(`one of ${among.join(', ')} becomes master`, forMs, () =>
      among.some((name) => this.isMaster(name)),
    );
  }

  /** The host says that it is not promoted, and whom it waits for. */
  untilBlockedOn(host: string, awaited: string, withinMs = patienceMs): void {
    const blocked = () =>
      this.decisions('election-blocked', host).some(({ details }) => details['awaited'] === awaited);
    this.until(`${host} is blocked, waiting for ${awaited}`, blocked, withinMs);
  }

  /** The registry row of that server. */
  row(name: string): Registry {
    const { row } = this.server(name);
    if (row === null) throw new Error(`${name} has no registry`);
    return row;
  }

  // ---- writes ----

  /** A client on that server writes once; never cut off from it. */
  write(name: string): Commit {
    const commit = writeOnce(this.server(name));
    this.#judge();
    return commit;
  }

  /** And waits for the acknowledgement. */
  writeThrough(name: string): Commit {
    const commit = this.write(name);
    this.until(`${name} acknowledges a write`, () => commit.acknowledged, 5000);
    return commit;
  }

  has(name: string, commit: Commit): boolean {
    const { branch, end } = this.server(name);
    return commit.branch !== null && holds(branch, end, commit.branch, commit.lsn);
  }

  expectOn(commit: Commit, names: readonly string[]): void {
    const have = this.cluster.hosts.map(({ name }) => name).filter((name) => this.has(name, commit));
    this.expect(`the commit is on ${names.join(', ')}, not ${have.join(', ')}`, have.join() === names.join());
  }

  /** From now on somebody beside every server writes whenever it takes writes. */
  writeAll(): void {
    const { cluster } = this;
    cluster.watchClosely(60_000);
    cluster.startWriters();
  }

  // ---- faults of the network ----

  setPaths(from: readonly string[], to: readonly string[], path: Path): void {
    const { network } = this.cluster;
    for (const a of from)
      for (const b of to) if (a !== b) network.setPath(this.#machine(a), this.#machine(b), path);
  }

  /** Nothing gets through between these and those, and nobody is told. */
  cut(these: string | readonly string[], those: string | readonly string[]): void {
    const [a, b] = [[these].flat(), [those].flat()];
    this.say(`cut ${a.join(' ')} | ${b.join(' ')}`);
    this.setPaths(a, b, 'drop');
    this.setPaths(b, a, 'drop');
  }

  isolate(name: string): void {
    this.cut(name, this.#everybody);
  }

  /** What was swallowed is sent again at once: retransmission timers may fire in that moment. */
  heal(these: string | readonly string[], those: string | readonly string[] = this.#everybody): void {
    const [a, b] = [[these].flat(), [those].flat()];
    this.say(`heal ${a.join(' ')} | ${b.join(' ')}`);
    const { random } = this.cluster.world;
    const unit = random.unit;
    random.unit = () => 0;
    this.setPaths(a, b, 'up');
    this.setPaths(b, a, 'up');
    random.unit = unit;
  }

  // ---- faults of servers, workers, machines ----

  powerOff(...names: readonly string[]): void {
    for (const name of names) this.host(name).powerOff();
  }

  /** The server starts as its boot does: whatever the data directory says. */
  boot(...names: readonly string[]): void {
    for (const name of names) boot(this.cluster, this.host(name));
  }

  /** Power, then the server as its files say, and only when that is up the worker. */
  bootServerFirst(name: string): void {
    const host = this.host(name);
    host.powerOn();
    host.server.start();
    this.until(`the server of ${name} is up`, () => host.server.life === 'up');
    host.startWorker();
  }

  /** What that standby receives from now on waits before it is flushed. */
  stallStream(name: string): void {
    this.say(`the stream to ${name} stalls`);
    this.#stalls.push(new StalledStream(this.server(name)));
  }

  letStreamGo(name: string): void {
    for (const stall of this.#stalls) if (stall.standby === name) stall.end();
    this.#stalls = this.#stalls.filter((stall) => stall.standby !== name);
  }

  /** The voter's side ends the session of that worker; whether the worker hears of it is the network's business. */
  endSessionOn(voter: string, worker: string): void {
    const server = this.server(voter);
    for (const session of [...server.sessions])
      if (session.kind === 'worker' && session.owner === worker)
        server.endSession(session, 'cut', 'ended by the voter');
  }

  /** The WAL receiver of that standby finds its connection reset. */
  resetStream(name: string): void {
    const { recovery } = this.server(name);
    const { receiver } = recovery;
    if (receiver === null) return;
    receiver.end();
    recovery.receiverGone(receiver);
  }

  /** The same change in every server's own file, then a reload, as people do it. */
  wishNames(names: string): void {
    this.say(`synchronous_standby_names = '${names}'`);
    for (const { server } of this.cluster.hosts) {
      server.alterSystem({ userNames: names });
      if (server.life === 'up') server.reload();
    }
    for (const host of this.cluster.hosts) host.hint();
  }
}
