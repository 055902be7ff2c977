/** Socket errors and SQLSTATEs -> the few kinds that the rest of the program tells apart. Messages carry no passwords. */
import { maskedMessageOf } from '../core/error-text.js';

export type FailureKind =
  | 'refused'
  | 'timeout'
  | 'unreachable'
  | 'cut'
  | 'admin-shutdown'
  | 'crash-shutdown'
  | 'idle-timeout'
  | 'starting-up'
  | 'shutting-down'
  | 'too-many-connections'
  | 'auth'
  | 'missing-database'
  | 'read-only'
  | 'lock-timeout'
  | 'statement-timeout'
  | 'privilege'
  | 'other';

export interface Failure {
  readonly kind: FailureKind;
  readonly message: string;
}

const bySqlState: Readonly<Record<string, FailureKind>> = {
  '57P02': 'crash-shutdown',
  '57P05': 'idle-timeout',
  '53300': 'too-many-connections',
  '3D000': 'missing-database',
  '25006': 'read-only',
  '55P03': 'lock-timeout',
  '57014': 'statement-timeout',
  '42501': 'privilege',
};

const bySocketCode: Readonly<Record<string, FailureKind>> = {
  ECONNREFUSED: 'refused',
  ENOENT: 'refused',
  ETIMEDOUT: 'timeout',
  EHOSTUNREACH: 'unreachable',
  ENETUNREACH: 'unreachable',
  EHOSTDOWN: 'unreachable',
  ENOTFOUND: 'unreachable',
  EAI_AGAIN: 'unreachable',
  ECONNRESET: 'cut',
  EPIPE: 'cut',
};

/** 57P03 has several messages: a server on its way up is alive, one on its way down is a planned stop. */
function cannotConnectNow(message: string): FailureKind {
  return /shutting down/.test(message) ? 'shutting-down' : 'starting-up';
}

/**
 * 57P01 has two causes. A stop asked for is raised where interrupts are processed; a backend whose postmaster is gone says
 * it where it waits for its client: that is a crash. The routine's name does not depend on the server's language.
 */
function adminShutdown(routine: string): FailureKind {
  return routine === '' || routine === 'ProcessInterrupts' ? 'admin-shutdown' : 'cut';
}

function kindOf(code: string, message: string, routine: string, isSystemError: boolean): FailureKind {
  if (code === '57P03') return cannotConnectNow(message);
  if (code === '57P01') return adminShutdown(routine);
  if (code.startsWith('28')) return 'auth';
  const known = bySqlState[code] ?? bySocketCode[code];
  if (known !== undefined) return known;
  if (isSystemError) return 'unreachable';
  if (/timeout|timed out/i.test(message)) return 'timeout';
  if (/terminated|ended|closed|not queryable/i.test(message)) return 'cut';
  if (/password must be a string|SASL|no password|authentication/i.test(message)) return 'auth';
  return 'other';
}

export function classifyFailure(error: unknown): Failure {
  if (error instanceof AggregateError && error.errors.length > 0) return classifyFailure(error.errors[0]);
  const message = maskedMessageOf(error);
  const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';
  const routine =
    typeof error === 'object' && error !== null && 'routine' in error ? String(error.routine) : '';
  // What the own kernel says (a route that prohibits, a filter that drops, an interface that is down) no server has said.
  const isSystemError = typeof error === 'object' && error !== null && 'syscall' in error;
  return { kind: kindOf(code, message, routine, isSystemError), message: message === '' ? code : message };
}

const silent: ReadonlySet<FailureKind> = new Set<FailureKind>(['refused', 'timeout', 'unreachable', 'cut']);

/** Did a living PostgreSQL say this? */
export function speaksProtocol(kind: FailureKind): boolean {
  return !silent.has(kind);
}
