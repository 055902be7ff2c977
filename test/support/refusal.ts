/** What a refused statement tells its caller, all fields of it: the place to look for clear words and for secrets. */
import assert from 'node:assert/strict';

export interface Refusal {
  /** SQLSTATE. */
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  /** Everything a client could show: message, detail, hint, context, internal query. */
  readonly text: string;
}

interface ServerError {
  readonly message: string;
  readonly code?: string;
  readonly detail?: string;
  readonly hint?: string;
  readonly where?: string;
  readonly internalQuery?: string;
}

/** Fails if the statement succeeds, or fails without an answer of the server. */
export async function refusal(statement: Promise<unknown>): Promise<Refusal> {
  let found: ServerError | null = null;
  try {
    await statement;
  } catch (error) {
    found = error as ServerError;
  }
  assert.ok(found !== null, 'the statement was expected to be refused');
  const { code, message, detail, hint, where, internalQuery } = found;
  assert.ok(code !== undefined, `refused by the server, not by ${String(found)}`);
  const text = [message, detail, hint, where, internalQuery].filter((part) => part !== undefined).join('\n');
  return { code, message, hint: hint ?? '', text };
}
