/** PostgreSQL's and the network's many failures -> the few that decisions know. */
import type { LinkFailure } from '../core/types.js';
import type { FailureKind } from './failure.js';

export function linkFailureOf(kind: FailureKind): LinkFailure {
  switch (kind) {
    case 'refused':
      return 'refused';
    case 'timeout':
      return 'timeout';
    case 'unreachable':
      return 'unreachable';
    case 'cut':
    case 'crash-shutdown':
      return 'cut';
    case 'admin-shutdown':
      return 'planned-stop';
    case 'starting-up':
      return 'starting-up';
    case 'shutting-down':
      return 'shutting-down';
    default:
      // Whatever else it said, it spoke the protocol.
      return 'speaks';
  }
}
