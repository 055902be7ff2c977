/** How often a server is connected to until a session stands. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { test } from 'node:test';
import { openClient } from '../../src/postgres/connect.js';

test('a server without TLS is asked for it once, and not again with each connection', async () => {
  let asked = 0;
  let connections = 0;
  const isSslRequest = (bytes: Buffer) => bytes.length === 8 && bytes.readInt32BE(4) === 80_877_103;
  const server = createServer((socket) => {
    connections += 1;
    socket.on('error', () => undefined);
    socket.once('data', (bytes) => {
      if (isSslRequest(bytes)) {
        asked += 1;
        socket.write('N');
      } else socket.destroy();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const { port } = server.address() as AddressInfo;
    const open = (mode: string) =>
      openClient(`host=127.0.0.1 port=${port} user=u dbname=d sslmode=${mode}`, {
        applicationName: 'test',
        connectTimeoutMs: 5000,
      });
    await assert.rejects(open('prefer'), /terminated/);
    assert.deepEqual([connections, asked], [2, 1]);
    await assert.rejects(open('prefer'), /terminated/);
    assert.deepEqual([connections, asked], [3, 1]);
    // Who insists on TLS is told that there is none, whatever is known.
    await assert.rejects(open('require'), /SSL/);
    assert.deepEqual([connections, asked], [4, 2]);
  } finally {
    server.close();
  }
});
