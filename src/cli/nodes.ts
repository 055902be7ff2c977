/**
 * `pgkeeper add-node`, `del-node`, `add-witness`, `del-witness`: the registry's functions, then the wait until the master's
 * worker has taken the change in: from that moment the node or witness votes, or no longer does.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { parseConninfo } from '../core/conninfo.js';
import { parseDuration } from '../core/duration.js';
import { nodeNameProblem } from '../settings/check.js';
import { type ConnectionOptions, conninfoOf, conninfoProblem } from './connection-options.js';
import { CommandFailure, type ExitCode, exitCodes } from './exit-codes.js';
import { printJson, say } from './output.js';
import { withSession } from './session.js';
import { sqlFailure } from './sql-failure.js';

export interface NodeOptions extends ConnectionOptions {
  readonly json?: boolean;
  /** false with --no-wait. */
  readonly wait: boolean;
  readonly timeout: string;
}

interface Outcome {
  readonly node: string;
  readonly registered: boolean;
  readonly voting: boolean;
}

export type VoterKind = 'node' | 'witness';

export async function runAdd(
  kind: VoterKind,
  name: string,
  conninfo: string,
  options: NodeOptions,
): Promise<ExitCode> {
  const problem = nodeNameProblem(name);
  if (problem !== null) throw new CommandFailure(exitCodes.usage, `${kind} name "${name}" ${problem}`);
  if (conninfo.trim() === '') throw new CommandFailure(exitCodes.usage, 'the conninfo must not be empty');
  const parsed = parseConninfo(conninfo);
  if (parsed.kind === 'problem')
    throw new CommandFailure(
      exitCodes.usage,
      `the conninfo of the ${kind}: ${conninfoProblem(conninfo, parsed.message)}`,
    );
  const timeoutMs = timeoutOf(options);
  return withSession(conninfoOf(options), async ({ client }) => {
    // It says so when it has to wait.
    client.on('notice', ({ message }) => say(message ?? ''));
    await call(client, `select pgkeeper.add_${kind}($1, $2) as done`, [name, conninfo]);
    const waited = options.wait ? await waitForVote(client, name, true, timeoutMs) : 'not-waited';
    return finish({ node: name, registered: true, voting: waited === 'done' }, waited, options);
  });
}

export interface DelNodeOptions extends NodeOptions {
  readonly seqno?: string;
}

export async function runDelNode(name: string | undefined, options: DelNodeOptions): Promise<ExitCode> {
  if ((name === undefined) === (options.seqno === undefined))
    throw new CommandFailure(exitCodes.usage, 'give the name of the node, or its number with --seqno');
  if (options.seqno !== undefined && !/^\d{1,9}$/.test(options.seqno))
    throw new CommandFailure(exitCodes.usage, `--seqno ${options.seqno}: not a number`);
  const timeoutMs = timeoutOf(options);
  return withSession(conninfoOf(options), async ({ client }) => {
    const node = name ?? (await nameOf(client, Number(options.seqno)));
    const removed =
      node !== undefined && (await call(client, 'select pgkeeper.del_node($1::text) as done', [node]));
    if (!removed || node === undefined) {
      const wanted = name ?? `seqno ${options.seqno}`;
      throw new CommandFailure(exitCodes.usage, `no node is registered as ${wanted}`, [
        'pgkeeper status shows the nodes there are.',
      ]);
    }
    const waited = options.wait ? await waitForVote(client, node, false, timeoutMs) : 'not-waited';
    const voting = waited !== 'done';
    return finish({ node, registered: false, voting }, waited, options);
  });
}

export async function runDelWitness(name: string, options: NodeOptions): Promise<ExitCode> {
  const timeoutMs = timeoutOf(options);
  return withSession(conninfoOf(options), async ({ client }) => {
    if (!(await call(client, 'select pgkeeper.del_witness($1) as done', [name])))
      throw new CommandFailure(exitCodes.usage, `no witness is registered as ${name}`, [
        'pgkeeper status shows the witnesses there are.',
      ]);
    const waited = options.wait ? await waitForVote(client, name, false, timeoutMs) : 'not-waited';
    return finish({ node: name, registered: false, voting: waited !== 'done' }, waited, options);
  });
}

export function timeoutOf(options: Pick<NodeOptions, 'timeout'>): number {
  const parsed = parseDuration(options.timeout);
  if (parsed.kind === 'problem') throw new CommandFailure(exitCodes.usage, `--timeout: ${parsed.message}`);
  return parsed.ms;
}

export async function call(client: pg.Client, sql: string, values: readonly unknown[]): Promise<boolean> {
  try {
    const { rows } = await client.query<{ done: boolean }>(sql, [...values]);
    return rows[0]?.done === true;
  } catch (error) {
    throw sqlFailure(error);
  }
}

async function nameOf(client: pg.Client, seqno: number): Promise<string | undefined> {
  try {
    const { rows } = await client.query<{ name: string }>(
      'select name from pgkeeper.node_info where seqno = $1',
      [seqno],
    );
    return rows[0]?.name;
  } catch (error) {
    throw sqlFailure(error);
  }
}

export type Waited = 'done' | 'no-worker' | 'timeout' | 'not-waited';

const pollMs = 50;
/** A worker that runs shows itself within this time; else nobody will take the change in. */
const workerBoundMs = 2000;

/** The master's worker changes the voters one at a time; it shows by its session on its own server, in a name cut at 63 bytes. */
export async function waitForVote(
  client: pg.Client,
  node: string,
  wanted: boolean,
  timeoutMs: number,
): Promise<Waited> {
  const started = performance.now();
  for (;;) {
    const { rows } = await client.query<{ votes: boolean; worker: boolean }>(
      `select exists (select from jsonb_array_elements(c.voters) v where v ->> 'name' = $1) as votes,
         exists (select from pg_stat_activity a where a.application_name like 'pgk master:%'
           and a.application_name = left('pgk ' || split_part(a.application_name, ' ', 2) || ' ' || c.master, 63)) as worker
       from pgkeeper.cluster_state c`,
      [node],
    );
    const waitedMs = performance.now() - started;
    if ((rows[0]?.votes === true) === wanted) return 'done';
    if (rows[0]?.worker !== true && waitedMs > Math.min(workerBoundMs, timeoutMs)) return 'no-worker';
    if (waitedMs > timeoutMs) return 'timeout';
    await delay(pollMs);
  }
}

function finish(outcome: Outcome, waited: Waited, options: NodeOptions): ExitCode {
  if (options.json === true) printJson(outcome);
  const what = outcome.registered ? 'registered' : 'removed';
  const effect = outcome.registered ? 'has a vote' : 'has no vote any more';
  if (waited === 'done') say(`${outcome.node} is ${what} and ${effect}`);
  else if (waited === 'not-waited') say(`${outcome.node} is ${what}`);
  else if (waited === 'no-worker')
    say(
      `${outcome.node} is ${what}; this takes effect once a worker runs beside the master (pgkeeper worker)`,
    );
  else {
    throw new CommandFailure(
      exitCodes.timeout,
      `${outcome.node} is ${what}, but the master's worker has not taken that in within ${options.timeout}`,
      ['pgkeeper status and the log of that worker say more; there is no need to repeat this command.'],
    );
  }
  return exitCodes.done;
}
