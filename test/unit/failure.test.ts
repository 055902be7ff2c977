/** What a failed connection tells: only what a living server said is a sign of life. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSignOfLife } from '../../src/core/types.js';
import { classifyFailure, speaksProtocol } from '../../src/postgres/failure.js';
import { linkFailureOf } from '../../src/postgres/link-failure.js';

/** As Node.js makes them. */
function systemError(code: string): Error {
  return Object.assign(new Error(`connect ${code} 10.0.0.9:5432`), { code, errno: -1, syscall: 'connect' });
}

test('no error of the own kernel is a sign of life of the other side, known or not', () => {
  const codes = ['ECONNREFUSED', 'ETIMEDOUT', 'EHOSTUNREACH', 'EACCES', 'EPERM', 'ENETDOWN', 'EADDRNOTAVAIL'];
  for (const code of [...codes, 'EMFILE', 'ENOBUFS', 'EPROTO']) {
    const { kind } = classifyFailure(systemError(code));
    assert.equal(speaksProtocol(kind), false, code);
    assert.equal(isSignOfLife(linkFailureOf(kind)), false, code);
  }
});

test('what a server answers is one', () => {
  for (const [code, message] of [
    ['53300', 'sorry, too many clients already'],
    ['28P01', 'password authentication failed for user "pgkeeper"'],
    ['XX000', 'something unheard of'],
  ] as const) {
    const { kind } = classifyFailure(Object.assign(new Error(message), { code, routine: 'x' }));
    assert.equal(isSignOfLife(linkFailureOf(kind)), true, code);
  }
});
