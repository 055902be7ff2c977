/** Servers that take connections and are none: what a poll must survive. They speak just enough of PostgreSQL's protocol. */
import { createServer, type Server, type Socket } from 'node:net';
import { freePort } from '../../src/testbed/free-port.js';

export const breakages = ['accepts only', 'hangs up', 'talks nonsense', 'never answers a query'] as const;
export type Breakage = (typeof breakages)[number];

const host = '127.0.0.1';
const sslRequest = 80877103;
const gssRequest = 80877104;

export class BrokenServer {
  readonly conninfo: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(port: number, server: Server) {
    this.conninfo = `host=${host} port=${port} user=postgres dbname=postgres`;
    this.#server = server;
    server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
    });
  }

  static async start(breakage: Breakage): Promise<BrokenServer> {
    const port = await freePort(host);
    const server = createServer((socket) => serve(socket, breakage));
    const broken = new BrokenServer(port, server);
    await new Promise<void>((resolve) => server.listen(port, host, resolve));
    return broken;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function serve(socket: Socket, breakage: Breakage): void {
  if (breakage === 'accepts only') return;
  if (breakage === 'hangs up') {
    socket.destroy();
    return;
  }
  socket.on('data', (chunk: Buffer) => {
    if (breakage === 'talks nonsense') socket.write('HTTP/1.1 400 Bad Request\r\n\r\n');
    else greet(socket, chunk);
  });
}

/** Encryption is declined, the startup packet is welcomed, and every query goes unanswered. */
function greet(socket: Socket, chunk: Buffer): void {
  const code = chunk.length >= 8 ? chunk.readInt32BE(4) : 0;
  if (code === sslRequest || code === gssRequest) socket.write('N');
  else if (code >> 16 === 3)
    socket.write(
      Buffer.concat([
        message('R', Buffer.alloc(4)),
        message('S', Buffer.from('server_version\x0015.0\0')),
        message('S', Buffer.from('client_encoding\0UTF8\0')),
        message('K', Buffer.alloc(8, 1)),
        message('Z', Buffer.from('I')),
      ]),
    );
}

function message(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(type, 0, 'latin1');
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}
