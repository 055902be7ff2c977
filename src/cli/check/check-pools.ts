/** Do the PgBouncers that are named answer, and may they be paused? For `check` and for the rehearsal of a switchover. */
import { placeOf } from '../../core/conninfo.js';
import { examineConsole } from '../../postgres/pools.js';
import type { LoadedSettings } from '../../settings/load.js';
import { type ParsedConsoles, parseConsoles } from '../../settings/pgbouncer.js';
import { about, type Finding } from './finding.js';

export interface PoolLook {
  readonly ok: boolean;
  readonly text: string;
}

function consolesOf(settings: LoadedSettings): ParsedConsoles {
  return parseConsoles(settings.values.get('pgbouncer')?.text ?? '');
}

function lookAtEach(conninfos: readonly string[]): Promise<readonly PoolLook[]> {
  return Promise.all(
    conninfos.map(async (conninfo) => {
      const problem = await examineConsole(conninfo, 'pgkeeper');
      return { ok: problem === null, text: problem ?? `PgBouncer ${placeOf(conninfo)} answers and obeys` };
    }),
  );
}

/** What is wrong with the setting itself is one answer too. */
export async function lookAtPools(settings: LoadedSettings): Promise<readonly PoolLook[]> {
  const consoles = consolesOf(settings);
  return consoles.kind === 'problem'
    ? [{ ok: false, text: `pg_keeper.pgbouncer: ${consoles.message}` }]
    : lookAtEach(consoles.conninfos);
}

export async function poolFindings(settings: LoadedSettings, node: string): Promise<readonly Finding[]> {
  const consoles = consolesOf(settings);
  // A setting that cannot be read is a problem of its own.
  if (consoles.kind === 'problem') return [];
  const mend = 'a switchover fails by it: mend it, or take it out of pg_keeper.pgbouncer';
  return (await lookAtEach(consoles.conninfos)).map(({ ok, text }) =>
    about(ok ? 'ok' : 'warning', node, 'pgbouncer', text, ok ? null : mend),
  );
}
