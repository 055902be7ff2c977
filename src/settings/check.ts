/**
 * Judges the collected settings: every value by itself, then the relations between them. All problems at once, each with
 * the value, where it came from and what would be accepted. Pure: no file and no server is looked at.
 */
import { parseConninfo } from '../core/conninfo.js';
import { formatDuration, parseDuration } from '../core/duration.js';
import { holdNames } from '../core/types.js';
import { parseConsoles } from './pgbouncer.js';
import { type LogLevel, logLevels, type SettingName, type Settings } from './settings.js';
import { describeSource, type SettingEntry } from './sources.js';

export interface Judged {
  readonly settings: Settings | null;
  /** As given, with what was derived filled in. */
  readonly values: ReadonlyMap<SettingName, SettingEntry>;
  readonly problems: readonly string[];
}

/** Shorter heartbeats than this would be within the jitter of an ordinary machine. */
const shortestKeepaliveMs = 50;
/** The margin between two ideas of one lease is at least 20 ms, and a lease is renewed every third of it. */
const shortestLeaseMs = 150;

/** Of a PAUSE. Clients that wait for longer than query_wait_timeout (120 s) get errors from PgBouncer. */
const shortestPauseMs = 100;
const longestPauseMs = 60_000;
/** 100 years: no timer counts it. */
const longestRetentionMs = 36_500 * 86_400_000;
/** PostgreSQL's units. */
const unitBytes: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  kB: 1024,
  MB: 1024 ** 2,
  GB: 1024 ** 3,
  TB: 1024 ** 4,
};

class Reader {
  readonly problems: string[] = [];
  readonly #values: ReadonlyMap<SettingName, SettingEntry>;

  constructor(values: ReadonlyMap<SettingName, SettingEntry>) {
    this.#values = values;
  }

  text(name: SettingName): string {
    return this.#values.get(name)?.text ?? '';
  }

  /** One problem of one value: what it is, where it stands, what is wrong. */
  refuse(name: SettingName, why: string): void {
    const entry = this.#values.get(name);
    const given = entry === undefined ? `pg_keeper.${name}` : `pg_keeper.${name} = '${entry.text}'`;
    const where = entry === undefined ? '' : ` (${describeSource(entry.source)})`;
    this.problems.push(`${given}${where}: ${why}`);
  }

  duration(name: SettingName, leastMs: number, mostMs?: number): number {
    const parsed = parseDuration(this.text(name), mostMs);
    if (parsed.kind === 'problem') {
      this.refuse(name, parsed.message);
      return Number.NaN;
    }
    if (parsed.ms < leastMs) {
      this.refuse(name, `must be at least ${formatDuration(leastMs)}`);
      return Number.NaN;
    }
    return parsed.ms;
  }

  integer(name: SettingName, least: number, most: number): number {
    const text = this.text(name).trim();
    const value = Number(text);
    if (/^-?\d+$/.test(text) && value >= least && value <= most) return value;
    this.refuse(name, `must be a whole number from ${least} to ${most}`);
    return Number.NaN;
  }

  /** Bytes. */
  size(name: SettingName): number {
    const [, number = '', unit = ''] = /^\s*(\d+)\s*([A-Za-z]*)\s*$/.exec(this.text(name)) ?? [];
    const factor = Object.hasOwn(unitBytes, unit) ? unitBytes[unit] : undefined;
    if (number !== '' && factor !== undefined) return Number(number) * factor;
    this.refuse(name, 'is not a size; write it as in 512MB or 1GB');
    return Number.NaN;
  }

  /** PostgreSQL's spellings. */
  boolean(name: SettingName): boolean {
    const text = this.text(name).trim().toLowerCase();
    if (['on', 'true', 'yes', '1', 't', 'y'].includes(text)) return true;
    if (!['off', 'false', 'no', '0', 'f', 'n'].includes(text)) this.refuse(name, 'must be on or off');
    return false;
  }

  choice<const T extends string>(name: SettingName, choices: readonly T[]): T | undefined {
    const found = choices.find((choice) => choice === this.text(name).trim().toLowerCase());
    if (found === undefined) this.refuse(name, `must be one of ${choices.join(', ')}`);
    return found;
  }
}

/** What is wrong with a name of a node, for settings and commands alike; null = nothing. */
export function nodeNameProblem(name: string): string | null {
  if (name.trim() === '') return 'must not be empty';
  const bytes = Buffer.byteLength(name);
  if (bytes > 63) return `is ${bytes} bytes long, at most 63 are possible`;
  if (!/^[ -~]+$/.test(name)) return 'may hold printable ASCII characters only';
  if (name === '*' || name.toLowerCase() === holdNames) return 'is reserved';
  return null;
}

interface Given {
  readonly ownConninfo: string;
  readonly dataDirectory: string | null;
}

export function judge(given: ReadonlyMap<SettingName, SettingEntry>, found: Given): Judged {
  const read = new Reader(given);
  const nodeName = readNodeName(read, given);
  const keepaliveTimeMs = read.duration('keepalive_time', shortestKeepaliveMs);
  const keepaliveCount = read.integer('keepalive_count', 1, 1000);
  const failoverMs = keepaliveTimeMs * keepaliveCount;
  const derived = derivedEntries(given, failoverMs, found);
  const leaseTtlMs = readLease(read, given, keepaliveTimeMs, keepaliveCount);
  const quorum = read.choice('quorum', ['auto', 'strict'] as const) ?? 'auto';
  const logLevel: LogLevel = read.choice('log_level', logLevels) ?? 'info';
  const conninfo = given.get('conninfo')?.text ?? found.ownConninfo;
  const parsed = parseConninfo(conninfo);
  // The string itself is not repeated: it may hold a password.
  if (parsed.kind === 'problem') read.problems.push(`the connection to the own server: ${parsed.message}`);
  const settings: Settings = {
    nodeName,
    keepaliveTimeMs,
    keepaliveCount,
    leaseTtlMs,
    fastFailover: read.boolean('fast_failover'),
    quorum,
    priority: read.integer('priority', 0, 1_000_000),
    afterCommand: read.text('after_command'),
    fencingCommand: read.text('fencing_command'),
    asyncCommand: read.text('async_command'),
    startCommand: read.text('start_command'),
    stopCommand: read.text('stop_command'),
    commandTimeoutMs: read.duration('command_timeout', 1),
    startupGraceMs: read.duration('startup_grace', 0),
    pgbouncer: readConsoles(read, given),
    pgbouncerTimeoutMs: read.duration('pgbouncer_timeout', shortestPauseMs, longestPauseMs),
    eventRetentionMs: read.duration('event_retention', 0, longestRetentionMs),
    lostWalLimitBytes: read.size('lost_wal_limit'),
    manageSlots: read.boolean('manage_slots'),
    logLevel,
    ownConninfo: conninfo,
    dataDirectory: found.dataDirectory,
    binDirectory: read.text('bin_directory') || null,
  };
  if ((settings.startCommand === '') !== (settings.stopCommand === ''))
    read.problems.push(
      `pg_keeper.start_command = '${settings.startCommand}' and pg_keeper.stop_command = '${settings.stopCommand}': give both or none`,
    );
  return {
    settings: read.problems.length === 0 ? settings : null,
    values: new Map([...given, ...derived]),
    problems: read.problems,
  };
}

export const missingNodeName =
  "pg_keeper.node_name is not set; put pg_keeper.node_name = 'NAME' into postgresql.conf, the same as application_name in primary_conninfo";

function readNodeName(read: Reader, given: ReadonlyMap<SettingName, SettingEntry>): string {
  if (!given.has('node_name')) {
    read.problems.push(missingNodeName);
    return '';
  }
  const name = read.text('node_name');
  const problem = nodeNameProblem(name);
  if (problem !== null) read.refuse('node_name', problem);
  return name;
}

/** The text is not repeated: it may hold a password. */
function readConsoles(read: Reader, given: ReadonlyMap<SettingName, SettingEntry>): readonly string[] {
  const entry = given.get('pgbouncer');
  const parsed = parseConsoles(entry?.text ?? '');
  if (parsed.kind === 'consoles') return parsed.conninfos;
  const where = entry === undefined ? '' : ` (${describeSource(entry.source)})`;
  read.problems.push(`pg_keeper.pgbouncer${where}: ${parsed.message}`);
  return [];
}

/** 2/3 of T, in whole ms. */
function defaultLeaseMs(failoverMs: number): number {
  return Math.floor((failoverMs * 2) / 3);
}

/** lease_ttl < T, or T would be a promise not kept: a cut-off master could still write when the next one begins. */
function readLease(
  read: Reader,
  given: ReadonlyMap<SettingName, SettingEntry>,
  keepaliveTimeMs: number,
  keepaliveCount: number,
): number {
  const failoverMs = keepaliveTimeMs * keepaliveCount;
  const failover = `T = ${formatDuration(failoverMs)} (keepalive_time ${formatDuration(keepaliveTimeMs)} x keepalive_count ${keepaliveCount})`;
  if (!given.has('lease_ttl')) {
    const leaseMs = defaultLeaseMs(failoverMs);
    if (leaseMs < shortestLeaseMs) {
      read.problems.push(
        `${failover} is too short: lease_ttl would be ${formatDuration(leaseMs)}, at least ${formatDuration(shortestLeaseMs)} is needed`,
      );
    }
    return leaseMs;
  }
  const leaseMs = read.duration('lease_ttl', shortestLeaseMs);
  if (leaseMs >= failoverMs)
    read.refuse('lease_ttl', `${formatDuration(leaseMs)} must be shorter than the failover time ${failover}`);
  return leaseMs;
}

function derivedEntries(
  given: ReadonlyMap<SettingName, SettingEntry>,
  failoverMs: number,
  found: Given,
): readonly (readonly [SettingName, SettingEntry])[] {
  const entries: SettingEntry[] = [];
  const add = (name: SettingName, text: string, from: string) => {
    if (!given.has(name)) entries.push({ name, text, source: { kind: 'derived', from } });
  };
  if (Number.isFinite(failoverMs)) add('lease_ttl', formatDuration(defaultLeaseMs(failoverMs)), '2/3 of T');
  if (found.dataDirectory !== null) add('data_directory', found.dataDirectory, 'found');
  return entries.map((entry) => [entry.name, entry]);
}
