/** Is there a guard beside this master? Seen on its own host only, by a user who may read its data directory. */
import { existsSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Registry } from '../../core/types.js';
import { guardMeeting } from '../../process/guard/guard-protocol.js';
import type { Session } from '../session.js';
import { about, type Finding } from './finding.js';

const answerBoundMs = 1000;
/** Between the two marks of one start: the server's files and its first process. */
const startSpreadS = 10;

export interface GuardedServer {
  readonly name: string;
  readonly inRecovery: boolean;
}

export async function guardFindings(
  session: Session,
  own: GuardedServer,
  dataDirectory: string | null,
  registry: Registry,
): Promise<readonly Finding[]> {
  // A lone voter has none: nobody else can be master.
  const isGuarded = !own.inRecovery && registry.master === own.name && registry.voters.length > 1;
  if (process.platform !== 'linux' || !isGuarded || dataDirectory === null) return [];
  if (!(await isHere(session, dataDirectory))) return [];
  const found = await answers(dataDirectory);
  if (found === null) return [];
  return [
    found
      ? about('ok', own.name, 'guard', 'a guard runs beside this master')
      : about(
          'warning',
          own.name,
          'guard',
          'no guard runs beside this master: if its worker is killed or hangs, nobody ends it',
          'the log of the worker says why it does not start',
        ),
  ];
}

/** The path may exist on this host while the server asked is on another: the time of its start tells them apart. */
async function isHere({ client }: Session, dataDirectory: string): Promise<boolean> {
  try {
    const [, , started = ''] = readFileSync(join(dataDirectory, 'postmaster.pid'), 'utf8').split('\n');
    const { rows } = await client.query<{ started: string }>(
      'select extract(epoch from pg_postmaster_start_time())::bigint as started',
    );
    return Math.abs(Number(rows[0]?.started) - Number(started)) <= startSpreadS;
  } catch {
    return false;
  }
}

/** Null when this user may not know. Asks for nothing but the connection. */
function answers(dataDirectory: string): Promise<boolean | null> {
  if (!existsSync(join(dataDirectory, 'pgkeeper.guard'))) return Promise.resolve(false);
  return new Promise((resolve) => {
    try {
      const socket = connect({ path: guardMeeting(dataDirectory).socket, timeout: answerBoundMs });
      const end = (found: boolean) => {
        socket.destroy();
        resolve(found);
      };
      socket.once('connect', () => end(true));
      socket.once('error', () => end(false));
      socket.once('timeout', () => end(false));
    } catch {
      resolve(null);
    }
  });
}
