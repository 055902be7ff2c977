/** `pgkeeper pause` and `resume`: the functions, then the wait until every worker that is seen goes by it. */
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { parseDuration } from '../core/duration.js';
import { pauseOf } from '../core/plan.js';
import { answered, lookAtCluster } from './cluster-look.js';
import { type ConnectionOptions, conninfoOf } from './connection-options.js';
import { CommandFailure, type ExitCode, exitCodes } from './exit-codes.js';
import { printJson, say } from './output.js';
import { type Session, withSession } from './session.js';
import { sqlFailure } from './sql-failure.js';

export interface PauseOptions extends ConnectionOptions {
  readonly json?: boolean;
  readonly timeout: string;
}

export interface ResumeOptions extends PauseOptions {
  readonly masterIsDown?: boolean;
}

const pollMs = 100;

function timeoutOf(options: PauseOptions): number {
  const parsed = parseDuration(options.timeout);
  if (parsed.kind === 'problem') throw new CommandFailure(exitCodes.usage, `--timeout: ${parsed.message}`);
  return parsed.ms;
}

async function call(client: pg.Client, statement: string, values: readonly unknown[] = []): Promise<boolean> {
  try {
    const { rows } = await client.query<{ done: boolean }>(`select ${statement} as done`, [...values]);
    return rows[0]?.done === true;
  } catch (error) {
    throw sqlFailure(error);
  }
}

/** In force once a majority has the row: from then on every election meets it. */
async function knownTo(session: Session): Promise<{ readonly knows: number; readonly voters: number }> {
  const cluster = await lookAtCluster(session);
  if (cluster === null) return { knows: 0, voters: 0 };
  const { voters } = cluster.registry;
  const knowing = cluster.nodes.filter(
    (node) =>
      voters.some(({ name }) => name === node.voter.name) &&
      pauseOf(answered(node)?.observation.registry ?? null) !== null,
  );
  return { knows: knowing.length, voters: voters.length };
}

export async function runPause(options: PauseOptions): Promise<ExitCode> {
  const timeoutMs = timeoutOf(options);
  return withSession(conninfoOf(options), async (session) => {
    const changed = await call(session.client, 'pgkeeper.pause()');
    const until = performance.now() + timeoutMs;
    for (;;) {
      const { knows, voters } = await knownTo(session);
      if (knows * 2 > voters) {
        if (options.json === true) printJson({ paused: true, changed, known_to: knows, voters });
        say(
          `${changed ? 'the cluster is paused' : 'the cluster was paused already'}; ${knows} of ${voters} voters know: nobody is promoted or fenced by itself until pgkeeper resume`,
        );
        return exitCodes.done;
      }
      if (performance.now() > until)
        throw new CommandFailure(
          exitCodes.timeout,
          `the pause is written, but only ${knows} of ${voters} voters know of it after ${options.timeout}`,
          ['It counts once a majority has it. pgkeeper status shows who is missing.'],
        );
      await delay(pollMs);
    }
  });
}

export async function runResume(options: ResumeOptions): Promise<ExitCode> {
  const timeoutMs = timeoutOf(options);
  return withSession(conninfoOf(options), async (session) => {
    const changed = await call(session.client, 'pgkeeper.resume($1)', [options.masterIsDown === true]);
    const until = performance.now() + timeoutMs;
    while (changed && !(await isOver(session))) {
      if (performance.now() > until)
        throw new CommandFailure(
          exitCodes.timeout,
          `the pause is not over after ${options.timeout}: it ends by the hand of a master's worker that holds its votes`,
          ['pgkeeper status shows the votes, pgkeeper explain what blocks a promotion.'],
        );
      await delay(pollMs);
    }
    if (options.json === true) printJson({ paused: false, changed });
    say(changed ? 'the pause is over' : 'the cluster is not paused');
    return exitCodes.done;
  });
}

/** By the newest row anywhere: a standby that is promoted on the word of this session ends its sessions first. */
async function isOver(session: Session): Promise<boolean> {
  const look = async (of: Session) => {
    const cluster = await lookAtCluster(of);
    return cluster !== null && pauseOf(cluster.registry) === null;
  };
  try {
    return await look(session);
  } catch {
    return withSession(session.conninfo, look).catch(() => false);
  }
}
