/** The table pgkeeper.requests as tests read it. */
import type { TestNode } from '../../src/testbed/cluster.js';
import { until } from '../../src/testbed/until.js';

export interface Request {
  readonly state: string;
  readonly reason: string;
  readonly target: string | null;
}

export async function requestOf(node: TestNode, id: number): Promise<Request | null> {
  const rows = await node.server.query<Request>(
    'select state, reason, target from pgkeeper.requests where id = $1',
    [id],
  );
  return rows[0] ?? null;
}

/** On a server that takes writes, once nothing more comes of it. */
export function untilFinished(node: TestNode, id: number): Promise<Request> {
  return until(
    `request ${id} is finished`,
    async () => {
      const request = await requestOf(node, id).catch(() => null);
      return request !== null && /^(done|failed|refused|timed-out)$/.test(request.state) ? request : null;
    },
    60_000,
  );
}
