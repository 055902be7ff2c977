/**
 * `pgkeeper switchover`: asks the master's worker to hand over, and waits, across the change of master, for what becomes of it; then
 * for the former master, so that the next command there finds a server.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { parseDuration } from '../core/duration.js';
import { discardClient, openClient } from '../postgres/connect.js';
import { wholeConninfo } from '../postgres/node-address.js';
import { type ConnectionOptions, conninfoOf } from './connection-options.js';
import { CommandFailure, type ExitCode, exitCodes } from './exit-codes.js';
import { backLine, type FormerMaster, untilBack } from './former-master.js';
import { printJson, say } from './output.js';
import { withSession } from './session.js';
import { sqlFailure } from './sql-failure.js';
import { rehearse } from './switchover-rehearsal.js';

export interface SwitchoverOptions extends ConnectionOptions {
  readonly json?: boolean;
  readonly dryRun?: boolean;
  readonly timeout: string;
}

export interface RequestRow {
  readonly id: number;
  readonly target: string | null;
  readonly state: string;
  readonly reason: string;
}

interface NodeRow extends FormerMaster {
  readonly is_master: boolean;
}

export async function runSwitchover(
  target: string | undefined,
  options: SwitchoverOptions,
): Promise<ExitCode> {
  const timeout = parseDuration(options.timeout);
  if (timeout.kind === 'problem') throw new CommandFailure(exitCodes.usage, `--timeout: ${timeout.message}`);
  if (options.dryRun === true) return rehearse(target ?? null, options);
  const until = performance.now() + timeout.ms;
  const { id, nodes } = await withSession(conninfoOf(options), async ({ client }) => {
    try {
      const asked = await client.query<{ id: string }>('select pgkeeper.switchover($1) as id', [
        target ?? null,
      ]);
      const nodes = await client.query<NodeRow>(
        'select name, conninfo, is_master from pgkeeper.node_info order by seqno',
      );
      const whole = nodes.rows.map((node) => ({ ...node, conninfo: wholeConninfo(node.conninfo) }));
      return { id: Number(asked.rows[0]?.id), nodes: whole };
    } catch (error) {
      throw sqlFailure(error);
    }
  });
  say(`request ${id}: switchover to ${target ?? 'the best node'}`);
  const others = nodes.map(({ conninfo }) => conninfo);
  const request = await untilFinished([conninfoOf(options), ...others], id, timeout.ms);
  return finish(request, id, options, nodes.find((node) => node.is_master) ?? null, until);
}

const pollMs = 100;
const connectMs = 2000;

/** Asked of whichever server takes writes; null = not finished in time. */
export async function untilFinished(
  conninfos: readonly string[],
  id: number,
  timeoutMs: number,
  tell: (line: string) => void = say,
): Promise<RequestRow | null> {
  const until = performance.now() + timeoutMs;
  let session: pg.Client | null = null;
  let place = 0;
  let said = '';
  try {
    while (performance.now() < until) {
      try {
        session ??= await openClient(conninfos[place] ?? '', {
          applicationName: 'pgkeeper',
          connectTimeoutMs: connectMs,
        });
        const request = await readRequest(session, id);
        if (request !== null && request.state !== said) {
          said = request.state;
          if (!isFinished(said)) tell(`${said}: ${request.reason || 'the worker has not taken it up yet'}`);
        }
        if (request !== null && isFinished(request.state)) return request;
        if (request !== null) {
          await delay(pollMs);
          continue;
        }
      } catch {
        // Stopped, or not started yet: the next one.
      }
      if (session !== null) discardClient(session);
      session = null;
      place = (place + 1) % conninfos.length;
      await delay(pollMs / 2);
    }
    return null;
  } finally {
    if (session !== null) discardClient(session);
  }
}

function isFinished(state: string): boolean {
  return /^(done|failed|refused|timed-out)$/.test(state);
}

/** Null on a standby: what it shows may be old. */
async function readRequest(client: pg.Client, id: number): Promise<RequestRow | null> {
  const { rows } = await client.query<RequestRow>({
    text: `select id::int as id, target, state, reason from pgkeeper.requests where id = $1 and not pg_is_in_recovery()`,
    values: [id],
  });
  return rows[0] ?? null;
}

async function finish(
  request: RequestRow | null,
  id: number,
  options: SwitchoverOptions,
  former: FormerMaster | null,
  until: number,
): Promise<ExitCode> {
  if (request === null) {
    throw new CommandFailure(exitCodes.timeout, `request ${id} is not finished after ${options.timeout}`, [
      'It goes on; pgkeeper status shows it while it is open, pgkeeper events what became of it.',
    ]);
  }
  const { target, state, reason } = request;
  const done = state === 'done';
  if (done) say(reason);
  const former_master = done && former !== null ? await waitFor(former, until) : null;
  if (options.json === true)
    printJson({ request: id, target, state, reason, ...(former_master === null ? {} : { former_master }) });
  if (done) return exitCodes.done;
  const code =
    state === 'refused' ? exitCodes.refused : state === 'timed-out' ? exitCodes.timeout : exitCodes.failed;
  throw new CommandFailure(code, `switchover ${state}: ${reason}`, [
    'pgkeeper switchover --dry-run shows every check; pgkeeper events tells what happened.',
  ]);
}

/** The switchover is done, whatever becomes of the former master. */
async function waitFor(former: FormerMaster, until: number): Promise<object> {
  const found = await untilBack(former, until - performance.now());
  say(backLine(found));
  return { name: former.name, back: found.back };
}
