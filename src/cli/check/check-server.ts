/** The prerequisites of one server, each with the statement that mends it. Pure: facts in, findings out. */
import { isSameName, parseStandbyNames } from '../../core/sync/standby-names.js';
import { judgeSchema } from '../../postgres/schema-version.js';
import { counted } from '../output.js';
import { type ServerFacts, settingOf } from './check-facts.js';
import { roleFindings } from './check-role.js';
import { connectionFindings, standbyFindings } from './check-standby.js';
import { type Finding, finding } from './finding.js';

export interface ServerContext {
  readonly programVersion: string;
  /** Nodes registered besides this one. */
  readonly others: readonly string[];
  readonly registered: boolean;
  /** The conninfo that workers use to reach it holds a password. */
  readonly hasPassword: boolean;
}

const oldestVersion = 140_000;
const newestMajor = 18;

export function findingsOfServer(facts: ServerFacts, context: ServerContext): readonly Finding[] {
  return [
    ...versionFindings(facts),
    ...walFindings(facts),
    ...senderFindings(facts, context),
    ...syncFindings(facts, context),
    ...schemaFindings(facts, context),
    ...roleFindings(facts, context),
    ...overrideFindings(facts),
    ...(facts.inRecovery ? standbyFindings(facts, context) : []),
    ...connectionFindings(facts, context),
  ];
}

function versionFindings(facts: ServerFacts): readonly Finding[] {
  const major = Math.floor(facts.versionNum / 10_000);
  if (facts.versionNum < oldestVersion)
    return [
      finding(
        'problem',
        facts,
        'version',
        `PostgreSQL ${facts.version} is too old`,
        'upgrade to PostgreSQL 14 or newer',
      ),
    ];
  if (major > newestMajor)
    return [
      finding(
        'warning',
        facts,
        'version',
        `PostgreSQL ${facts.version} is newer than the newest tested (${newestMajor})`,
      ),
    ];
  return [finding('ok', facts, 'version', `PostgreSQL ${facts.version}`)];
}

function walFindings(facts: ServerFacts): readonly Finding[] {
  const found: Finding[] = [];
  const restart = 'then restart the server';
  if (settingOf(facts, 'hot_standby') !== 'on')
    found.push(
      finding(
        'problem',
        facts,
        'hot_standby',
        'hot_standby is off: a standby could not be asked',
        `ALTER SYSTEM SET hot_standby = on; ${restart}`,
      ),
    );
  const level = settingOf(facts, 'wal_level');
  if (level !== 'replica' && level !== 'logical')
    found.push(
      finding(
        'problem',
        facts,
        'wal_level',
        `wal_level is ${level}: nobody could stream from it`,
        `ALTER SYSTEM SET wal_level = replica; ${restart}`,
      ),
    );
  if (settingOf(facts, 'wal_log_hints') !== 'on' && settingOf(facts, 'data_checksums') !== 'on')
    found.push(
      finding(
        'problem',
        facts,
        'wal_log_hints',
        'wal_log_hints is off and there are no data checksums: pg_rewind cannot bring an old master back, only a fresh copy of everything can',
        `ALTER SYSTEM SET wal_log_hints = on; ${restart}`,
      ),
    );
  if (settingOf(facts, 'full_page_writes') !== 'on')
    found.push(
      finding(
        'problem',
        facts,
        'full_page_writes',
        'full_page_writes is off: pg_rewind refuses',
        'ALTER SYSTEM SET full_page_writes = on; SELECT pg_reload_conf();',
      ),
    );
  return found.length > 0
    ? found
    : [
        finding(
          'ok',
          facts,
          'WAL settings',
          'hot_standby, wal_level, wal_log_hints or checksums, full_page_writes',
        ),
      ];
}

/** pg_basebackup takes two; a rewind none. */
const spareSenders = 2;

function senderFindings(facts: ServerFacts, context: ServerContext): readonly Finding[] {
  const senders = Number(settingOf(facts, 'max_wal_senders'));
  const needed = Math.max(1, context.others.length);
  const wanted = needed + spareSenders;
  if (senders >= wanted) return [finding('ok', facts, 'max_wal_senders', `max_wal_senders ${senders}`)];
  const mend = `ALTER SYSTEM SET max_wal_senders = ${Math.max(10, wanted)}; then restart the server, the master last`;
  if (senders < needed)
    return [
      finding(
        'problem',
        facts,
        'max_wal_senders',
        `max_wal_senders is ${senders}, but ${counted(needed, 'other server')} must stream from it as master`,
        mend,
      ),
    ];
  return [
    finding(
      'warning',
      facts,
      'max_wal_senders',
      `max_wal_senders is ${senders}: none to spare for a fresh copy of a node`,
      mend,
    ),
  ];
}

function syncFindings(facts: ServerFacts, context: ServerContext): readonly Finding[] {
  const found: Finding[] = [];
  const texts = [facts.syncWish, settingOf(facts, 'synchronous_standby_names')].filter(
    (text) => text !== null,
  );
  for (const text of new Set(texts)) {
    const parsed = parseStandbyNames(text);
    if (parsed.kind === 'problem' || !parsed.value.names.includes('*')) continue;
    const names =
      [...context.others]
        .sort()
        .map((name) => `"${name}"`)
        .join(', ') || '"NODE", ...';
    found.push(
      finding(
        'problem',
        facts,
        'synchronous_standby_names',
        `synchronous_standby_names = '${text}' holds *, which leaves open who must have every commit`,
        `in postgresql.conf: synchronous_standby_names = '${names}'; then SELECT pg_reload_conf();`,
      ),
    );
  }
  if (facts.syncWish !== null) found.push(...unknownNames(facts, facts.syncWish, context));
  const commit = settingOf(facts, 'synchronous_commit');
  const wished = (facts.syncWish ?? settingOf(facts, 'synchronous_standby_names')) !== '';
  if (wished && (commit === 'off' || commit === 'local'))
    found.push(
      finding(
        'problem',
        facts,
        'synchronous_commit',
        `synchronous_commit is ${commit}: commits do not wait for the standbys that synchronous_standby_names names`,
        'ALTER SYSTEM SET synchronous_commit = on; SELECT pg_reload_conf();',
      ),
    );
  return found;
}

function unknownNames(facts: ServerFacts, wish: string, context: ServerContext): readonly Finding[] {
  const parsed = parseStandbyNames(wish);
  if (parsed.kind === 'problem' || !context.registered) return [];
  const known = [...context.others, facts.name, '*'];
  const unknown = parsed.value.names.filter((name) => !known.some((one) => isSameName(one, name)));
  if (unknown.length === 0) return [];
  return [
    finding(
      'warning',
      facts,
      'synchronous_standby_names',
      `synchronous_standby_names names ${unknown.map((name) => `"${name}"`).join(', ')}, which is no registered node`,
      'register it (pgkeeper add-node), or take it out of synchronous_standby_names and reload',
    ),
  ];
}

function schemaFindings(facts: ServerFacts, context: ServerContext): readonly Finding[] {
  const found: Finding[] = [];
  const verdict = judgeSchema(facts.schema, context.programVersion);
  if (verdict.kind === 'unusable')
    found.push(finding('problem', facts, 'objects', verdict.reason, verdict.mend));
  else if (verdict.kind === 'differs')
    found.push(
      finding(
        'warning',
        facts,
        'objects',
        `${verdict.reason}; the cluster is kept all the same`,
        verdict.mend,
      ),
    );
  else found.push(finding('ok', facts, 'objects', `objects of version ${verdict.version}`));
  if (!facts.dblink)
    found.push(
      finding(
        'problem',
        facts,
        'dblink',
        'the extension dblink is not there: nodes cannot be asked what they see',
        'on the master: CREATE EXTENSION dblink; (package postgresql-contrib)',
      ),
    );
  return found;
}

/** What the keeper sets with ALTER SYSTEM must take effect. */
const overridden = ['synchronous_standby_names', 'primary_conninfo', 'wal_retrieve_retry_interval'] as const;

function overrideFindings(facts: ServerFacts): readonly Finding[] {
  const found: Finding[] = [];
  for (const name of overridden) {
    if (facts.settings[name]?.source !== 'command line') continue;
    found.push(
      finding(
        'problem',
        facts,
        name,
        `${name} is given on the server's command line, so nothing can change it`,
        `start the server without -c ${name}=..., and put it into postgresql.conf`,
      ),
    );
  }
  if (settingOf(facts, 'allow_alter_system') === 'off')
    found.push(
      finding(
        'problem',
        facts,
        'allow_alter_system',
        'allow_alter_system is off: the worker can set nothing',
        'in postgresql.conf: allow_alter_system = on; then SELECT pg_reload_conf();',
      ),
    );
  return found;
}
