/** `pgkeeper check`: every prerequisite and setting of this server and its peers. Collects, has it judged, prints. */
import { keywordOf } from '../../core/conninfo.js';
import { classifyFailure } from '../../postgres/failure.js';
import { type LoadedSettings, type LoadRequest, loadSettings } from '../../settings/load.js';
import { type ClusterLook, lookAtCluster } from '../cluster-look.js';
import { type ExitCode, exitCodes } from '../exit-codes.js';
import { print, printJson } from '../output.js';
import { connect, type Session } from '../session.js';
import { grantsHint, sqlFailure } from '../sql-failure.js';
import { programVersion } from '../version.js';
import { findingsOfCluster } from './check-cluster.js';
import { factsOf, openFor, type Reach, reachFrom, type ServerFacts } from './check-facts.js';
import { guardFindings } from './check-guard.js';
import { poolFindings } from './check-pools.js';
import { type Report, reportLines, settingRows } from './check-report.js';
import { roleFindings } from './check-role.js';
import { findingsOfServer, type ServerContext } from './check-server.js';
import { about, type Finding } from './finding.js';

export interface CheckOptions {
  readonly json?: boolean;
}

export async function runCheck(request: LoadRequest, options: CheckOptions): Promise<ExitCode> {
  const settings = await loadSettings(request);
  const session = await connect(settings.ownConninfo);
  try {
    const report = await examine(session, settings);
    const healthy = report.findings.every((finding) => finding.level !== 'problem');
    if (options.json === true) printJson(jsonOf(report, healthy));
    else for (const line of reportLines(report)) print(line);
    return healthy ? exitCodes.done : exitCodes.failed;
  } finally {
    await session.client.end().catch(() => undefined);
  }
}

async function examine(session: Session, settings: LoadedSettings): Promise<Report> {
  const ownName = settings.values.get('node_name')?.text ?? 'this server';
  const own = await factsOf(session.client, ownName).catch((error: unknown) => {
    throw sqlFailure(error);
  });
  const hasObjects = own.schema.kind === 'extension' || own.schema.kind === 'migration';
  const cluster = hasObjects ? await lookAtCluster(session) : null;
  const peers = cluster === null ? { facts: [own], reach: [], failed: [] } : await askPeers(cluster);
  const servers = peers.facts;
  const registered = new Map((cluster?.registry.nodes ?? []).map((node) => [node.name, node.conninfo]));
  const findings = [
    ...settingFindings(settings, ownName),
    ...servers.flatMap((facts) => findingsOfServer(facts, contextOf(facts, session, registered))),
    ...ownFindings(own, servers, contextOf(own, session, registered)),
    ...strangerFindings(settings, registered),
    ...peers.failed,
    ...(await poolFindings(settings, ownName)),
    ...(cluster === null ? [] : await guardFindings(session, own, settings.dataDirectory, cluster.registry)),
    ...(cluster === null ? unregistered(hasObjects, own) : findingsOfCluster(cluster, servers, peers.reach)),
  ];
  return { settings, servers, cluster, findings };
}

/** A server with a name of its own that no node has. */
function strangerFindings(
  settings: LoadedSettings,
  registered: ReadonlyMap<string, string>,
): readonly Finding[] {
  const name = settings.values.get('node_name')?.text;
  if (name === undefined || registered.size === 0 || registered.has(name)) return [];
  const known = [...registered.keys()].join(', ');
  return [
    about(
      'problem',
      name,
      'registry',
      `no node is registered as ${name}; there are ${known}`,
      `on the master: pgkeeper add-node ${name} CONNINFO`,
    ),
  ];
}

/** The server this command is pointed at: all of it if it is not registered, its role if that is another than the registered one. */
function ownFindings(
  own: ServerFacts,
  servers: readonly ServerFacts[],
  context: ServerContext,
): readonly Finding[] {
  const registered = servers.find((facts) => facts.name === own.name);
  if (registered === undefined) return findingsOfServer(own, context);
  return registered === own || registered.role === own.role ? [] : roleFindings(own, context);
}

function contextOf(
  facts: ServerFacts,
  session: Session,
  registered: ReadonlyMap<string, string>,
): ServerContext {
  const streaming = facts.streaming.map((row) => row.name);
  const others = registered.size > 0 ? [...registered.keys()] : streaming;
  return {
    programVersion: programVersion(),
    others: others.filter((name) => name !== facts.name),
    registered: registered.has(facts.name),
    hasPassword: keywordOf(registered.get(facts.name) ?? session.conninfo, 'password') !== undefined,
  };
}

function settingFindings(settings: LoadedSettings, node: string): readonly Finding[] {
  const mend = 'correct it there; a worker with this setting does not start';
  return [
    ...settings.problems.map((text): Finding => ({ level: 'problem', node, topic: 'settings', text, mend })),
    ...settings.notes.map(
      (text): Finding => ({
        level: 'warning',
        node,
        topic: 'settings',
        text,
        mend: 'correct the name, or remove the line',
      }),
    ),
  ];
}

function unregistered(hasObjects: boolean, own: ServerFacts): readonly Finding[] {
  if (!hasObjects) return [];
  const mend = own.inRecovery
    ? 'register the master first: pgkeeper add-node NAME CONNINFO, on the master'
    : `pgkeeper add-node ${own.name === 'this server' ? 'NAME' : own.name} CONNINFO; then each standby`;
  return [{ level: 'problem', node: null, topic: 'registry', text: 'no node is registered', mend }];
}

interface Peers {
  readonly facts: readonly ServerFacts[];
  readonly reach: readonly Reach[];
  readonly failed: readonly Finding[];
}

/** Every registered node by its own conninfo, as the workers reach it, all at the same time. */
async function askPeers(cluster: ClusterLook): Promise<Peers> {
  const { nodes } = cluster;
  const answers = await Promise.all(
    nodes
      .filter(({ voter, look }) => voter.kind === 'node' && look.kind === 'answered')
      .map(async ({ voter }): Promise<Peers> => {
        try {
          const client = await openFor(voter.conninfo);
          try {
            const facts = await factsOf(client, voter.name);
            const others = nodes.map((node) => node.voter).filter((other) => other.name !== voter.name);
            return { facts: [facts], reach: await reachFrom(client, voter.name, others), failed: [] };
          } finally {
            client.end().catch(() => undefined);
          }
        } catch (error) {
          const { kind, message } = classifyFailure(error);
          const text = `could not be examined: ${message}`;
          const mend = kind === 'privilege' ? grantsHint : null;
          return {
            facts: [],
            reach: [],
            failed: [{ level: 'problem', node: voter.name, topic: 'reachability', text, mend }],
          };
        }
      }),
  );
  return {
    facts: answers.flatMap((answer) => answer.facts),
    reach: answers.flatMap((answer) => answer.reach),
    failed: answers.flatMap((answer) => answer.failed),
  };
}

function jsonOf(report: Report, healthy: boolean): object {
  return {
    ok: healthy,
    findings: report.findings,
    settings: settingRows(report.settings),
    servers: report.servers.map(({ name, version, inRecovery }) => ({
      name,
      version,
      role: inRecovery ? 'standby' : 'master',
    })),
  };
}
