/**
 * `pgkeeper maintenance NODE on|off` and `priority NODE N`: thin covers of set_maintenance and set_priority. Before work on a node
 * it is said whether the others are a majority without it.
 */
import { majorityOf } from '../core/votes/lease.js';
import { type ClusterLook, heldByMaster, lookAtCluster } from './cluster-look.js';
import { type ConnectionOptions, conninfoOf } from './connection-options.js';
import { CommandFailure, type ExitCode, exitCodes } from './exit-codes.js';
import { printJson, say } from './output.js';
import { quorumOf } from './quorum-look.js';
import { type Session, withSession } from './session.js';
import { sqlFailure } from './sql-failure.js';

export interface NodePlanOptions extends ConnectionOptions {
  readonly json?: boolean;
}

export interface MaintenanceOptions extends NodePlanOptions {
  readonly acceptNoCandidate?: boolean;
}

export async function runMaintenance(
  node: string,
  wanted: string,
  options: MaintenanceOptions,
): Promise<ExitCode> {
  if (wanted !== 'on' && wanted !== 'off')
    throw new CommandFailure(exitCodes.usage, `maintenance is "on" or "off", not "${wanted}"`);
  const values = [node, wanted === 'on', options.acceptNoCandidate === true];
  const { changed, warning } = await withSession(conninfoOf(options), async (session) => ({
    changed: await call(session, 'pgkeeper.set_maintenance($1, $2, $3)', values),
    warning: wanted === 'on' ? await votesWarning(session, node) : null,
  }));
  if (options.json === true)
    printJson({ node, maintenance: wanted === 'on', changed, warnings: warning === null ? [] : [warning] });
  const what =
    wanted === 'on'
      ? 'is in maintenance: no candidate, and its worker leaves its server as it is'
      : 'is not in maintenance';
  say(`${node} ${what}${changed ? '' : ', as before'}`);
  if (warning !== null) say(`warning: ${warning}`);
  return exitCodes.done;
}

/** It is set by then: a look that fails is no failure of the command. */
async function votesWarning(session: Session, node: string): Promise<string | null> {
  const cluster = await lookAtCluster(session).catch(() => null);
  return cluster === null ? null : missingVotes(cluster, node);
}

/** What is to be known before `node` is stopped, where the master does not hold the vote of another voter. Null = it holds them all. */
export function missingVotes(cluster: ClusterLook, node: string): string | null {
  const { voters, master } = cluster.registry;
  const heldVotes = heldByMaster(cluster);
  const missing = voters.map(({ name }) => name).filter((name) => !heldVotes.has(name));
  if (missing.every((name) => name === node)) return null;
  const held = voters.length - missing.length;
  const left = voters.some(({ name }) => name === node && heldVotes.has(name)) ? held - 1 : held;
  const needed = majorityOf(voters, quorumOf(cluster, master));
  const outcome =
    left < needed
      ? `without ${node} only ${left} would be left and ${needed} are needed, so the master could not acknowledge commits`
      : `without ${node} ${left} would be left, ${needed} are needed`;
  return `${master ?? 'the master'} holds ${held} of ${voters.length} votes, that of ${missing.join(', ')} not; ${outcome}. Before you stop it wait until pgkeeper status shows all of them held`;
}

export async function runPriority(node: string, wanted: string, options: NodePlanOptions): Promise<ExitCode> {
  if (!/^(\d{1,7}|default)$/.test(wanted))
    throw new CommandFailure(
      exitCodes.usage,
      `the priority is a number from 0 on, or "default", not "${wanted}"`,
    );
  const priority = wanted === 'default' ? null : Number(wanted);
  const changed = await withSession(conninfoOf(options), (session) =>
    call(session, 'pgkeeper.set_priority($1, $2)', [node, priority]),
  );
  if (options.json === true) printJson({ node, priority, changed });
  const text = priority === null ? 'that of its settings' : String(priority);
  say(`priority of ${node} is ${text}${changed ? '' : ', as before'}`);
  return exitCodes.done;
}

async function call({ client }: Session, statement: string, values: readonly unknown[]): Promise<boolean> {
  try {
    const { rows } = await client.query<{ done: boolean }>(`select ${statement} as done`, [...values]);
    return rows[0]?.done === true;
  } catch (error) {
    throw sqlFailure(error);
  }
}
