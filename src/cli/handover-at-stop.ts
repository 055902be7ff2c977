/** `pgkeeper worker --handover`: a worker that is told to stop beside the master makes another node master first. */
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../core/error-text.js';
import { openClient, queryWithDeadline } from '../postgres/connect.js';
import { wholeConninfo } from '../postgres/node-address.js';
import { untilFinished } from './switchover.js';

/** With the checkpoint before it, which may take long. systemd waits 90 s by default. */
const boundMs = 80_000;
const connectMs = 5000;
const lookMs = 50;

/** Never rejects: a worker that is told to stop stops. */
export async function handOver(
  ownConninfo: string,
  state: () => string,
  log: (message: string) => void,
): Promise<void> {
  if (!state().startsWith('master:')) return;
  const until = performance.now() + boundMs;
  try {
    const first = await openRequest(ownConninfo);
    if (first.mine) log(`handing over before the worker stops (request ${first.id})`);
    else log(`a switchover is under way (request ${first.id}): the worker stops when it is over`);
    let request = await untilFinished([ownConninfo, ...first.others], first.id, boundMs, tellNobody);
    if (!first.mine && request !== null && request.state !== 'done') {
      log(`handover: request ${first.id} ${request.state}, ${request.reason}; asking anew`);
      const { id, others } = await openRequest(ownConninfo);
      request = await untilFinished([ownConninfo, ...others], id, until - performance.now(), tellNobody);
    }
    log(`handover: ${request?.state ?? 'not finished'}${request === null ? '' : `, ${request.reason}`}`);
    // Its server is brought back as a standby by nobody else.
    while (request?.state === 'done' && state() !== 'standby:connected' && performance.now() < until)
      await delay(lookMs);
  } catch (error) {
    log(`not handed over: ${messageOf(error)}`);
  }
}

interface OpenRequest {
  readonly id: number;
  /** Asked here, or already under way: stopping the worker now would break that one off. */
  readonly mine: boolean;
  readonly others: readonly string[];
}

async function openRequest(ownConninfo: string): Promise<OpenRequest> {
  const client = await openClient(ownConninfo, {
    applicationName: 'pgkeeper handover',
    connectTimeoutMs: connectMs,
  });
  const ids = async (text: string): Promise<readonly number[]> => {
    const { rows } = await queryWithDeadline(client, text, [], connectMs);
    return rows.map((row) => Number((row as { id?: unknown }).id));
  };
  try {
    const nodes = await queryWithDeadline(client, 'select conninfo from pgkeeper.node_info', [], connectMs);
    const others = nodes.rows.map((row) => wholeConninfo(String((row as { conninfo?: unknown }).conninfo)));
    const [running] = await ids(
      `select id from pgkeeper.requests where state in ('asked', 'running', 'handing-over')`,
    );
    if (running !== undefined) return { id: running, mine: false, others };
    const [id] = await ids('select pgkeeper.switchover() as id');
    return { id: id ?? 0, mine: true, others };
  } finally {
    client.end().catch(() => undefined);
  }
}

/** The log has the outcome; what a command says meanwhile is for terminals. */
function tellNobody(): void {}
