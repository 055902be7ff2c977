/**
 * `pgkeeper failover NODE`: the way out where nobody is master and nobody will be by itself. Says first what is there, what
 * is awaited and what could be lost, asks for a typed confirmation, then lends the operator's word to that node's worker.
 */
import { createInterface } from 'node:readline/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { parseDuration } from '../core/duration.js';
import { formatLsn } from '../core/lsn.js';
import { operatorLock, operatorLockClass } from '../postgres/operator-lock.js';
import { answered, type ClusterLook, lookAtCluster, type NodeLook, workerStateOf } from './cluster-look.js';
import { type ConnectionOptions, conninfoOf } from './connection-options.js';
import { CommandFailure, type ExitCode, exitCodes } from './exit-codes.js';
import { type Forecast, forecastOf } from './forecast.js';
import { neverPromoted } from './never-promoted.js';
import { print, printJson, say, wrapped } from './output.js';
import { connect, type Session, withSession } from './session.js';
import { unknownNode } from './unknown-node.js';

export interface FailoverOptions extends ConnectionOptions {
  readonly acceptDataLoss?: boolean;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
  readonly json?: boolean;
  readonly timeout: string;
}

/** What the operator has to know before the word is given. */
interface Outlook {
  readonly target: string;
  readonly epoch: number;
  readonly last_master: string | null;
  readonly received: string;
  /** Voters that do not answer. */
  readonly gone: readonly string[];
  /** Less than a majority answers: those that do not are given up as voters. */
  readonly majority_lost: boolean;
  /** Nodes of which one or more may have acknowledged commits that are not here. */
  readonly awaited: readonly string[];
  readonly blocked_by: readonly string[];
  readonly needs_acceptance: boolean;
}

export async function runFailover(target: string, options: FailoverOptions): Promise<ExitCode> {
  const timeout = parseDuration(options.timeout);
  if (timeout.kind === 'problem') throw new CommandFailure(exitCodes.usage, `--timeout: ${timeout.message}`);
  const cluster = await withSession(conninfoOf(options), lookAtCluster);
  if (cluster === null) throw unknownNode(null, target);
  const node = standbyNamed(cluster, target);
  const outlook = outlookOf(cluster, node);
  if (options.json !== true) for (const line of linesOf(outlook)) say(line);
  if (options.dryRun === true) {
    if (options.json === true) printJson(outlook);
    return exitCodes.done;
  }
  if (outlook.needs_acceptance && options.acceptDataLoss !== true)
    throw new CommandFailure(
      exitCodes.refused,
      `${target} is not promoted: it could lose acknowledged commits`,
      [
        'Bring back what is awaited: then it goes on by itself.',
        `If that is gone for good: pgkeeper failover ${target} --accept-data-loss`,
      ],
    );
  if (options.yes !== true) await confirm(target);
  const session = await connect(node.voter.conninfo);
  try {
    await lendWord(session, cluster, target, options.acceptDataLoss === true, timeout.ms);
  } finally {
    await session.client.end().catch(() => undefined);
  }
  if (options.json === true) printJson({ ...outlook, master: target });
  else print(`${target} is master.`);
  return exitCodes.done;
}

function standbyNamed(cluster: ClusterLook, target: string): NodeLook {
  const node = cluster.nodes.find(({ voter }) => voter.name === target);
  if (node === undefined || node.voter.kind === 'witness') throw unknownNode(cluster.registry, target);
  const forecast = forecastOf(cluster);
  if (forecast.master_alive && forecast.master === target)
    throw new CommandFailure(
      exitCodes.refused,
      `${target} is master already, of epoch ${forecast.epoch}, and answers: nothing is to be done`,
    );
  if (forecast.master_alive)
    throw new CommandFailure(
      exitCodes.refused,
      `${forecast.master} is master of epoch ${forecast.epoch} and answers: nothing is to be given up`,
      [`To make ${target} master without loss: pgkeeper switchover ${target}`],
    );
  if (answered(node) === null)
    throw new CommandFailure(exitCodes.cannotConnect, `${target} does not answer, so it cannot take over`, [
      'Start its server and its worker, or choose another node.',
    ]);
  if (workerStateOf(cluster, target) === null)
    throw new CommandFailure(exitCodes.refused, `no worker runs beside ${target}, so nobody can promote it`, [
      'On its host: pgkeeper worker (or systemctl start pgkeeper)',
    ]);
  return node;
}

export function outlookOf(cluster: ClusterLook, node: NodeLook): Outlook {
  const forecast: Forecast = forecastOf(cluster);
  const observation = answered(node)?.observation;
  const gone = cluster.nodes.filter(({ look }) => look.kind === 'silent').map(({ voter }) => voter.name);
  const majorityLost = forecast.votes.reachable < forecast.votes.needed;
  const missing = forecast.commits.present < forecast.commits.must_be_present;
  return {
    target: node.voter.name,
    epoch: forecast.epoch,
    last_master: forecast.master,
    received: `${observation?.timeline ?? 0}:${formatLsn(observation?.received ?? (0n as never))}`,
    gone,
    majority_lost: majorityLost,
    awaited: missing ? forecast.commits.awaited : [],
    blocked_by: forecast.blocked_by,
    // A priority of 0 keeps a node from standing by itself; nothing is lost by its being named.
    needs_acceptance:
      majorityLost || forecast.blocked_by.some((block) => block !== neverPromoted(cluster)?.text),
  };
}

function linesOf(outlook: Outlook): readonly string[] {
  const { target, gone, awaited, last_master: master } = outlook;
  const lines = [
    `${target} has received ${outlook.received}. Last master: ${master ?? 'unknown'}, epoch ${outlook.epoch}.`,
    gone.length === 0 ? 'Every voter answers.' : `These do not answer: ${gone.join(', ')}.`,
    ...outlook.blocked_by.map((block) => `Blocked: ${block}.`),
  ];
  if (awaited.length > 0)
    lines.push(
      `What only ${awaited.join(', ')} may have, and ${target} has not, would be lost: commits that were acknowledged. How many cannot be seen from here.`,
    );
  if (outlook.majority_lost)
    lines.push(
      `No majority: ${gone.join(', ')} would be taken out of the cluster. They must never start again with their old data while they cannot reach ${target}: a majority of them would be a cluster of its own.`,
    );
  return lines.map((line) => wrapped(line, '  '));
}

/** The name of the node, typed: a key pressed too much must not lose data. */
async function confirm(target: string): Promise<void> {
  if (!process.stdin.isTTY)
    throw new CommandFailure(exitCodes.usage, 'there is no terminal to confirm on', [
      'Say --yes if this is what you want.',
    ]);
  const question = createInterface({ input: process.stdin, output: process.stderr });
  const typed = await question.question(`Type ${target} to go on: `);
  question.close();
  if (typed.trim() !== target) throw new CommandFailure(exitCodes.failed, 'not confirmed; nothing was done');
}

const lookEveryMs = 200;

/** Holds the word until the node is master. Nothing is done any more once this session is gone. */
async function lendWord(
  session: Session,
  cluster: ClusterLook,
  target: string,
  acceptLoss: boolean,
  timeoutMs: number,
): Promise<void> {
  const { client } = session;
  await client.query('select pg_advisory_lock($1, $2)', [
    operatorLockClass,
    acceptLoss ? operatorLock.acceptLoss : operatorLock.takeOver,
  ]);
  const until = performance.now() + timeoutMs;
  for (let shown = ''; ; ) {
    const { master, state } = await lookAtTarget(client, target);
    if (master && state.startsWith('master:')) return;
    if (state !== shown) say(`${target} is ${state}`);
    shown = state;
    if (performance.now() > until)
      throw new CommandFailure(
        exitCodes.timeout,
        `${target} is not master after ${Math.round(timeoutMs / 1000)} s (${state}); the word is taken back`,
        [
          `pgkeeper explain, and the log of the worker of ${target}, say more. Epoch before: ${cluster.registry.epoch}.`,
        ],
      );
    await delay(lookEveryMs);
  }
}

async function lookAtTarget(
  client: pg.Client,
  target: string,
): Promise<{ readonly master: boolean; readonly state: string }> {
  const { rows } = await client.query<{ master: boolean; state: string | null }>(
    `select not pg_is_in_recovery() and (select c.master = $1 from pgkeeper.cluster_state c) as master,
       (select s.state from pgkeeper.status s where s.name = $1) as state`,
    [target],
  );
  return { master: rows[0]?.master === true, state: rows[0]?.state ?? 'unknown' };
}
