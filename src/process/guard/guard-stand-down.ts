/**
 * Tells the guard that a dead worker left behind that it is not needed any more: for a command that has fenced the server and
 * starts it as a standby. Else that guard would end it in the middle of its work.
 */
import { connect } from 'node:net';
import { encodeOrder, guardMeeting } from './guard-protocol.js';

const boundMs = 1000;

/** Resolves also where there is no guard. */
export function standDownGuard(dataDirectory: string): Promise<void> {
  if (process.platform !== 'linux') return Promise.resolve();
  const { socket: path, secret } = guardMeeting(dataDirectory);
  return new Promise((resolve) => {
    const socket = connect({ path });
    const done = () => {
      clearTimeout(timer);
      socket.destroy();
      resolve();
    };
    const timer = setTimeout(done, boundMs);
    socket.once('error', done);
    socket.once('close', done);
    socket.once('connect', () => {
      socket.end(encodeOrder({ kind: 'stand-down' }, performance.now(), secret));
    });
  });
}
