/** pino, set up once: JSON on stdout, readable lines on a terminal. Reasons are logged here and nowhere else. */
import pino, { type Logger } from 'pino';
import { isWarning, type ReasonRecord, sentence } from './core/reasons.js';
import type { DecisionLog } from './ports.js';

export type { Logger };

/** One readable line: time, level, sentence; the numbers stay in JSON mode. */
function prettyLine(json: string): string {
  const { time, level, node, msg, error } = JSON.parse(json) as {
    time: number;
    level: number;
    node?: string;
    msg?: string;
    error?: string;
  };
  const at = new Date(time).toISOString().slice(11, 23);
  const mark = level >= 50 ? 'ERROR' : level >= 40 ? 'WARN ' : 'INFO ';
  return `${at} ${mark} ${node ?? ''}: ${msg ?? ''}${error === undefined ? '' : ` (${error})`}\n`;
}

export function createLogger(level: string, node: string, pretty: boolean): Logger {
  const destination = {
    write: (line: string) => void process.stdout.write(pretty ? prettyLine(line) : line),
  };
  return pino({ level, base: { node }, timestamp: () => `,"time":${Date.now()}` }, destination);
}

/** A reader of the log that goes away ends a command, but must not end what guards a server. */
export function goOnWithoutReader(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.removeAllListeners('error');
    stream.on('error', () => undefined);
  }
}

export function decisionLog(logger: Logger): DecisionLog {
  return {
    decision: (record: ReasonRecord, state: string) => {
      const fields = { reason: record.code, epoch: record.epoch, state, ...record.details };
      if (record.again) logger.debug(fields, sentence(record));
      else if (isWarning(record.code)) logger.warn(fields, sentence(record));
      else logger.info(fields, sentence(record));
    },
  };
}
