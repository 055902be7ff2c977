/** The driver's and the network's words for a failed connection -> an operator's. Other messages stay as they are. */
import type { Failure } from '../postgres/failure.js';

export function failureText({ kind, message }: Failure): string {
  if (/client password must be/.test(message)) return 'the server asks for a password, and none was given';
  if (/server requires? encryption|SSL.*not supported|does not support SSL/i.test(message)) return message;
  if (/ENOTFOUND|EAI_AGAIN/.test(message)) return `host name not found (${message})`;
  if (/ENOENT/.test(message)) return `no such socket (${message})`;
  if (kind === 'refused') return `connection refused${addressIn(message)}`;
  if (kind === 'timeout') return 'no answer in time';
  if (kind === 'unreachable') return `no way to that host${addressIn(message)}`;
  return message;
}

function addressIn(message: string): string {
  const address = /(?:ECONNREFUSED|E\w+UNREACH|EHOSTDOWN) (\S+)/.exec(message)?.[1];
  return address === undefined ? '' : ` by ${address}`;
}
