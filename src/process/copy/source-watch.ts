/**
 * Watches the server that data are copied from while that goes on: pg_rewind and pg_basebackup wait for a server that hangs
 * for ever, since its kernel goes on answering for it. A source that is only busy answers; one that says nothing ends the work.
 */
import { discardClient, openClient, queryWithDeadline } from '../../postgres/connect.js';
import { classifyFailure, speaksProtocol } from '../../postgres/failure.js';

const pauseMs = 3000;
const askBoundMs = 5000;
/** Some ten questions without an answer. A failover that takes this node's source away is over long before. */
const silenceBoundMs = 30_000;

interface SourceWatch {
  readonly signal: AbortSignal;
  end(): void;
}

/** `silentMs`: how long without any answer. */
function watchSource(source: string, silentMs: number): SourceWatch {
  const controller = new AbortController();
  let answeredAt = performance.now();
  let timer: NodeJS.Timeout | null = null;
  let ended = false;
  const look = async () => {
    if (await answers(source)) answeredAt = performance.now();
    if (ended) return;
    if (performance.now() - answeredAt >= silentMs) controller.abort();
    else timer = setTimeout(() => void look(), Math.min(pauseMs, silentMs / 5));
  };
  timer = setTimeout(() => void look(), Math.min(pauseMs, silentMs / 5));
  return {
    signal: controller.signal,
    end: () => {
      ended = true;
      if (timer !== null) clearTimeout(timer);
    },
  };
}

async function answers(source: string): Promise<boolean> {
  try {
    const client = await openClient(source, {
      applicationName: 'pgkeeper copy',
      connectTimeoutMs: askBoundMs,
    });
    await queryWithDeadline(client, 'select 1', [], askBoundMs);
    discardClient(client);
    return true;
  } catch (error) {
    return speaksProtocol(classifyFailure(error).kind);
  }
}

/** The work with the source watched; a failure after it fell silent says so. */
export async function whileAnswering<T>(
  source: string,
  work: (signal: AbortSignal) => Promise<T>,
  outer?: AbortSignal,
  silentMs = silenceBoundMs,
): Promise<T> {
  const watch = watchSource(source, silentMs);
  const signal = outer === undefined ? watch.signal : AbortSignal.any([watch.signal, outer]);
  try {
    return await work(signal);
  } catch (error) {
    if (!watch.signal.aborted) throw error;
    throw new Error(`the source has not answered for ${silentMs / 1000} s; given up`, { cause: error });
  } finally {
    watch.end();
  }
}
