/** `pgkeeper worker --handover`: a worker that is told to stop beside the master makes another node master first. */
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../core/error-text.js';
import { openClient, queryWithDeadline } from '../postgres/connect.js';
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
    const client = await openClient(ownConninfo, {
      applicationName: 'pgkeeper handover',
      connectTimeoutMs: connectMs,
    });
    let id: number;
    let others: readonly string[];
    try {
      const asked = await queryWithDeadline(client, 'select pgkeeper.switchover() as id', [], connectMs);
      const nodes = await queryWithDeadline(client, 'select conninfo from pgkeeper.node_info', [], connectMs);
      id = Number((asked.rows[0] as { id?: unknown } | undefined)?.id);
      others = nodes.rows.map((row) => String((row as { conninfo?: unknown }).conninfo));
    } finally {
      client.end().catch(() => undefined);
    }
    log(`handing over before the worker stops (request ${id})`);
    const request = await untilFinished([ownConninfo, ...others], id, boundMs);
    log(`handover: ${request?.state ?? 'not finished'}${request === null ? '' : `, ${request.reason}`}`);
    // Its server is brought back as a standby by nobody else.
    while (request?.state === 'done' && state() !== 'standby:connected' && performance.now() < until)
      await delay(lookMs);
  } catch (error) {
    log(`not handed over: ${messageOf(error)}`);
  }
}
