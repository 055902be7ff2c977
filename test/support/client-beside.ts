/** A client on one host of several: it reaches the server beside it whatever is cut, and is in no hurry to give it up. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { TestServer } from '../../src/testbed/server.js';
import type { Acknowledged } from '../../src/testbed/writer.js';
import { environment } from './command-line.js';

const program = fileURLToPath(new URL('client-beside-main.js', import.meta.url));
/** Sessions that write at the same time. */
const lanes = 2;

export class ClientBeside {
  readonly acknowledged: Acknowledged[] = [];
  readonly #server: TestServer;
  readonly #number: number;
  #child: ChildProcess | null = null;

  /** `number` separates the rows of several clients. */
  constructor(server: TestServer, number: number) {
    this.#server = server;
    this.#number = number;
  }

  start(): void {
    const { name, host, port, namespace } = this.#server;
    const args = [program, name, host, port, 1 + this.#number * lanes, lanes].map(String);
    const [command, before] =
      namespace === null ? [process.execPath, []] : ['ip', ['netns', 'exec', namespace, process.execPath]];
    const child = spawn(command, [...before, ...args], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: environment(),
    });
    this.#child = child;
    const fromMachineClock = performance.now() - Number(process.hrtime.bigint()) / 1e6;
    if (child.stdout === null) throw new Error('no output');
    createInterface({ input: child.stdout }).on('line', (line) => {
      const row = JSON.parse(line) as Acknowledged;
      this.acknowledged.push({
        ...row,
        sentAt: row.sentAt + fromMachineClock,
        at: row.at + fromMachineClock,
      });
    });
  }

  stop(): void {
    this.#child?.kill('SIGKILL');
  }
}
