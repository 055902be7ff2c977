/** Skipping says so where nobody can overlook it: a test that did not run proves nothing. */
import type { TestContext } from 'node:test';

export function skipLoudly(context: TestContext, why: string): void {
  console.error(`!! NOT TESTED: ${context.name}: ${why}`);
  context.skip(why);
}
