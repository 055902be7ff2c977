/** What `pgkeeper check` prints: the findings first, then the settings, the verdict last. Pure. */
import { maskConninfo } from '../../core/conninfo.js';
import type { LoadedSettings } from '../../settings/load.js';
import { maskConsoles } from '../../settings/pgbouncer.js';
import { definitions, type SettingName } from '../../settings/settings.js';
import { describeSource } from '../../settings/sources.js';
import type { ClusterLook } from '../cluster-look.js';
import { counted, tableLines, wrapped } from '../output.js';
import { addressText, type ServerFacts } from './check-facts.js';
import type { Finding } from './finding.js';

export interface Report {
  readonly settings: LoadedSettings;
  readonly servers: readonly ServerFacts[];
  readonly cluster: ClusterLook | null;
  readonly findings: readonly Finding[];
}

/** Settings that may hold passwords. */
const masks: Partial<Record<SettingName, (text: string) => string>> = {
  conninfo: maskConninfo,
  pgbouncer: maskConsoles,
};

export interface SettingRow {
  readonly name: string;
  readonly value: string | null;
  readonly source: string;
}

export function settingRows(settings: LoadedSettings): readonly SettingRow[] {
  return definitions.map(({ name }) => settingRow(settings, name));
}

function settingRow(settings: LoadedSettings, name: SettingName): SettingRow {
  const entry = settings.values.get(name);
  const text = name === 'conninfo' ? (entry?.text ?? settings.ownConninfo) : (entry?.text ?? null);
  const value = text === null ? null : (masks[name]?.(text) ?? text);
  return {
    name: `pg_keeper.${name}`,
    value,
    source: entry === undefined ? 'not set' : describeSource(entry.source),
  };
}

const marks = { ok: 'ok      ', warning: 'WARNING ', problem: 'PROBLEM ' } as const;

export function reportLines(report: Report): readonly string[] {
  const count = (level: Finding['level']) =>
    report.findings.filter((finding) => finding.level === level).length;
  return [
    ...[...byNode(report.findings)].flatMap(([node, findings]) => [
      node === null ? 'The cluster:' : `${node}:`,
      ...findingLines(findings),
      '',
    ]),
    ...settingLines(report.settings),
    '',
    `${counted(count('problem'), 'problem')}, ${counted(count('warning'), 'warning')}`,
  ];
}

function findingLines(findings: readonly Finding[]): readonly string[] {
  const fine = findings.filter((finding) => finding.level === 'ok');
  const others = findings.filter((finding) => finding.level !== 'ok');
  return [...fine, ...others].flatMap(({ level, text, mend }) => [
    `  ${marks[level]}${wrapped(text, '          ')}`,
    ...(level === 'ok' || mend === null ? [] : [`          -> ${wrapped(mend, '             ')}`]),
  ]);
}

/** Those that somebody has set one a line, the others by where their value comes from. */
function settingLines(settings: LoadedSettings): readonly string[] {
  const cells: (readonly (string | null)[])[] = [];
  const others = new Map<string, string[]>();
  for (const definition of definitions) {
    const { name, value, source } = settingRow(settings, definition.name);
    const kind = settings.values.get(definition.name)?.source.kind ?? 'default';
    const text = value === null ? name : `${name}=${value}`;
    if (kind === 'default' || kind === 'derived') others.set(source, [...(others.get(source) ?? []), text]);
    else cells.push([name, value, source]);
  }
  return [
    `Settings of this server (${addressText(settings.ownConninfo)}):`,
    ...(cells.length === 0
      ? []
      : tableLines(['SETTING', 'VALUE', 'SOURCE'], cells).map((line) => `  ${line}`)),
    ...[...others].map(([source, texts]) => `  ${wrapped(`${source}: ${texts.join(', ')}`, '    ')}`),
  ];
}

/** Nodes in their order, the cluster last. */
function byNode(findings: readonly Finding[]): ReadonlyMap<string | null, readonly Finding[]> {
  const groups = new Map<string | null, Finding[]>();
  for (const finding of findings) {
    const group = groups.get(finding.node) ?? [];
    group.push(finding);
    groups.set(finding.node, group);
  }
  const cluster = groups.get(null);
  if (cluster !== undefined) {
    groups.delete(null);
    groups.set(null, cluster);
  }
  return groups;
}
