/**
 * The program of a client that lives on one host and writes to the server beside it whenever that takes writes. Prints what
 * was acknowledged, a line each, times on the machine's monotonic clock in ms. Ends when its standard input does.
 * Arguments: NAME HOST PORT NUMBER LANES.
 */
import { type Acknowledged, Writer } from '../../src/testbed/writer.js';

const [name = '', host = '', port = '', number = '', lanes = ''] = process.argv.slice(2);
const printEveryMs = 20;
/** Longer than any fault: what a deposed master would acknowledge late must be seen. */
const patienceMs = 120_000;

const toMachineClock = Number(process.hrtime.bigint()) / 1e6 - performance.now();
const writers = Array.from(
  { length: Number(lanes) },
  (_, lane) =>
    new Writer({
      servers: [{ name, host, port: Number(port) }],
      number: Number(number) + lane,
      pauseMs: 10,
      pollMs: 20,
      patienceMs,
    }),
);
const printed = writers.map(() => 0);

function printNews(): void {
  const news = writers.flatMap(({ acknowledged }, i) => {
    const fresh = acknowledged.slice(printed[i] ?? 0);
    printed[i] = acknowledged.length;
    return fresh;
  });
  const lines = news.map((row: Acknowledged) =>
    JSON.stringify({ ...row, sentAt: row.sentAt + toMachineClock, at: row.at + toMachineClock }),
  );
  if (lines.length > 0) process.stdout.write(`${lines.join('\n')}\n`);
}

setInterval(printNews, printEveryMs);
process.stdin.on('end', () => process.exit(0));
process.stdin.resume();
for (const writer of writers) writer.start();
