/** What was thrown, in words. */
import { maskConninfo } from './conninfo.js';

/** May hold what a user wrote. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Of what has to do with a conninfo: no password is left in it. */
export function maskedMessageOf(error: unknown): string {
  return maskConninfo(messageOf(error));
}
