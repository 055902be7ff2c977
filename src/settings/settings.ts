/**
 * Every setting of pgkeeper in one table: name, default, unit, meaning. The same table gives the names in
 * postgresql.conf (`pg_keeper.NAME`), the environment (`PGKEEPER_NAME`) and the flags (`--name`, with dashes).
 * Reading is load.ts, judging is check.ts; neither is here.
 */
import { randomInt } from 'node:crypto';
import type { CoreSettings } from '../core/types.js';

/** All settings of one worker, read and judged. Durations in ms. */
export interface Settings {
  readonly nodeName: string;
  readonly keepaliveTimeMs: number;
  readonly keepaliveCount: number;
  readonly leaseTtlMs: number;
  readonly fastFailover: boolean;
  readonly quorum: 'auto' | 'strict';
  readonly priority: number;
  /** Shell commands; '' = none. */
  readonly afterCommand: string;
  readonly fencingCommand: string;
  readonly asyncCommand: string;
  readonly startCommand: string;
  readonly stopCommand: string;
  readonly commandTimeoutMs: number;
  readonly startupGraceMs: number;
  /** Conninfos of PgBouncer's admin consoles. May hold passwords. */
  readonly pgbouncer: readonly string[];
  /** Longest wait for a PAUSE. */
  readonly pgbouncerTimeoutMs: number;
  /** Older rows of pgkeeper.events are deleted by the master's worker; 0 = none. */
  readonly eventRetentionMs: number;
  /** 0 = nothing is kept. */
  readonly lostWalLimitBytes: number;
  /** Replication slots for every other node on this server, and one for this node on every other. */
  readonly manageSlots: boolean;
  readonly logLevel: LogLevel;
  /** How the worker reaches its own server. May hold a password. */
  readonly ownConninfo: string;
  /** null = asked from the server. */
  readonly dataDirectory: string | null;
  /** null = found: beside the running server's binary, else where the system keeps PostgreSQL. */
  readonly binDirectory: string | null;
}

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof logLevels)[number];

export type SettingName =
  | 'node_name'
  | 'keepalive_time'
  | 'keepalive_count'
  | 'lease_ttl'
  | 'fast_failover'
  | 'quorum'
  | 'priority'
  | 'after_command'
  | 'fencing_command'
  | 'async_command'
  | 'start_command'
  | 'stop_command'
  | 'command_timeout'
  | 'startup_grace'
  | 'pgbouncer'
  | 'pgbouncer_timeout'
  | 'event_retention'
  | 'lost_wal_limit'
  | 'manage_slots'
  | 'log_level'
  | 'conninfo'
  | 'data_directory'
  | 'bin_directory';

export interface Definition {
  readonly name: SettingName;
  /** As in a file; null = none, see `meaning`. */
  readonly fallback: string | null;
  /** What a value looks like, for help texts. */
  readonly value:
    | 'NAME'
    | 'DURATION'
    | 'SIZE'
    | 'NUMBER'
    | 'on|off'
    | 'auto|strict'
    | 'COMMAND'
    | 'LEVEL'
    | 'CONNINFO'
    | 'DIR';
  readonly meaning: string;
  /** Spellings of the original that mean the same. */
  readonly aliases?: readonly string[];
}

export const definitions: readonly Definition[] = [
  {
    name: 'node_name',
    fallback: null,
    value: 'NAME',
    meaning: 'unique name of this node; equals application_name in its primary_conninfo (required)',
  },
  {
    name: 'keepalive_time',
    fallback: '5s',
    value: 'DURATION',
    meaning: 'interval of heartbeats',
    aliases: ['keepalives_time'],
  },
  {
    name: 'keepalive_count',
    fallback: '3',
    value: 'NUMBER',
    meaning: 'failures in a row; failover time T = keepalive_time x keepalive_count',
    aliases: ['keepalives_count'],
  },
  {
    name: 'lease_ttl',
    fallback: null,
    value: 'DURATION',
    meaning: 'how long a master without its votes may go on writing; less than T (default 2/3 of T)',
  },
  {
    name: 'fast_failover',
    fallback: 'on',
    value: 'on|off',
    meaning: 'act at once on definite evidence of a crash instead of waiting T',
  },
  {
    name: 'quorum',
    fallback: 'auto',
    value: 'auto|strict',
    meaning: 'strict: never promote without a majority, also with two nodes and no witness',
  },
  {
    name: 'priority',
    fallback: '100',
    value: 'NUMBER',
    meaning: 'the higher is preferred among nodes with equal data; 0 = never master',
  },
  {
    name: 'after_command',
    fallback: '',
    value: 'COMMAND',
    meaning: 'shell command run after this node was promoted',
  },
  {
    name: 'fencing_command',
    fallback: '',
    value: 'COMMAND',
    meaning: 'shell command run before promoting; its failure stops the promotion',
  },
  {
    name: 'async_command',
    fallback: '',
    value: 'COMMAND',
    meaning: 'shell command run when this master goes async and when it comes back',
  },
  {
    name: 'start_command',
    fallback: '',
    value: 'COMMAND',
    meaning:
      'shell command that starts the server, for servers that systemd or pg_ctlcluster runs (default pg_ctl)',
  },
  {
    name: 'stop_command',
    fallback: '',
    value: 'COMMAND',
    meaning: 'shell command that stops the server (default pg_ctl)',
  },
  {
    name: 'command_timeout',
    fallback: '30s',
    value: 'DURATION',
    meaning: 'deadline of each of the commands; then it is ended and counts as failed',
  },
  {
    name: 'startup_grace',
    fallback: '30s',
    value: 'DURATION',
    meaning: 'how long a worker that never saw the master waits for it, so that a slow boot is no failover',
  },
  {
    name: 'pgbouncer',
    fallback: '',
    value: 'CONNINFO',
    meaning:
      'admin consoles of PgBouncers, paused around a switchover; several: separated by ; or a new line',
  },
  {
    name: 'pgbouncer_timeout',
    fallback: '5s',
    value: 'DURATION',
    meaning: 'how long a PAUSE waits for open transactions; then the switchover fails',
  },
  {
    name: 'event_retention',
    fallback: '90d',
    value: 'DURATION',
    meaning: 'how long rows of pgkeeper.events are kept; 0 = for ever',
  },
  {
    name: 'lost_wal_limit',
    fallback: '1GB',
    value: 'SIZE',
    meaning: 'how much WAL of this server that a rewind or copy throws away is kept beside it; 0 = none',
  },
  {
    name: 'manage_slots',
    fallback: 'on',
    value: 'on|off',
    meaning: 'keep a replication slot for every other node on this server, and stream by one',
  },
  { name: 'log_level', fallback: 'info', value: 'LEVEL', meaning: 'trace, debug, info, warn or error' },
  {
    name: 'conninfo',
    fallback: null,
    value: 'CONNINFO',
    meaning: 'how the worker reaches its own server; the flags -d, -h, -p and -U come before it',
  },
  {
    name: 'data_directory',
    fallback: null,
    value: 'DIR',
    meaning: 'data directory of the own server (default PGDATA, else asked from the server)',
  },
  {
    name: 'bin_directory',
    fallback: null,
    value: 'DIR',
    meaning: 'where pg_ctl and pg_rewind are (default: found)',
  },
];

const byName: ReadonlyMap<string, Definition> = new Map(
  definitions.flatMap((definition) =>
    [definition.name, ...(definition.aliases ?? [])].map((name) => [name, definition] as const),
  ),
);

/** The setting of that name, the original's spellings included; undefined if there is none. */
export function definitionOf(name: string): Definition | undefined {
  return byName.get(name.toLowerCase());
}

/** PGKEEPER_KEEPALIVE_TIME */
export function environmentName(name: string): string {
  return `PGKEEPER_${name.toUpperCase()}`;
}

/** keepalive-time */
export function flagName(name: string): string {
  return name.replaceAll('_', '-');
}

/** What the decisions depend on. `seed` feeds the worker's random pauses. */
export function coreSettingsOf(settings: Settings, seed: number = randomInt(1, 2 ** 31)): CoreSettings {
  return {
    name: settings.nodeName,
    keepaliveTimeMs: settings.keepaliveTimeMs,
    keepaliveCount: settings.keepaliveCount,
    leaseTtlMs: settings.leaseTtlMs,
    fastFailover: settings.fastFailover,
    quorum: settings.quorum,
    priority: settings.priority,
    startupGraceMs: settings.startupGraceMs,
    fencingCommand: settings.fencingCommand !== '',
    poolPauseMs: settings.pgbouncer.length > 0 ? settings.pgbouncerTimeoutMs : 0,
    seed,
  };
}
