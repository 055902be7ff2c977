/** What a command's outcome must be. */
import assert from 'node:assert/strict';
import type { Outcome } from './command-line.js';

export function parsed<T>(outcome: Outcome): T {
  assert.equal(outcome.code, 0, `${outcome.err}${outcome.out}`);
  return JSON.parse(outcome.out) as T;
}

export function failed(outcome: Outcome, code: number, message: RegExp): void {
  assert.match(outcome.err, message);
  assert.equal(outcome.code, code, outcome.err);
  assert.doesNotMatch(outcome.err, /\n\s+at /, 'no stack trace');
}
