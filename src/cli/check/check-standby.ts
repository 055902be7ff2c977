/** Prerequisites of a server as a standby, and of the connections that workers keep to it. Pure: facts in, findings out. */
import { type ServerFacts, settingOf } from './check-facts.js';
import type { ServerContext } from './check-server.js';
import { type Finding, finding } from './finding.js';

export function standbyFindings(facts: ServerFacts, context: ServerContext): readonly Finding[] {
  const found: Finding[] = [];
  const set = `ALTER SYSTEM SET primary_conninfo = 'host=MASTER ... application_name=${facts.name}'; SELECT pg_reload_conf();`;
  const { receiver } = facts;
  if (receiver === null)
    found.push(finding('problem', facts, 'streaming', 'the standby receives no WAL', `see its log; ${set}`));
  else if (receiver.name !== null && receiver.name !== facts.name && context.registered)
    found.push(
      finding(
        'problem',
        facts,
        'application_name',
        `the standby streams as "${receiver.name}", not as "${facts.name}"`,
        set,
      ),
    );
  else found.push(finding('ok', facts, 'streaming', `streams as ${receiver.name ?? facts.name}`));
  if (facts.replayPaused)
    found.push(
      finding(
        'problem',
        facts,
        'replay',
        'replay is paused: a promotion would have to wait for it',
        'SELECT pg_wal_replay_resume();',
      ),
    );
  const delay = settingOf(facts, 'recovery_min_apply_delay');
  if (delay !== '0' && delay !== '')
    found.push(
      finding(
        'warning',
        facts,
        'recovery_min_apply_delay',
        `recovery_min_apply_delay is ${delay}: if promoted, this node would first have to replay that much`,
        'ALTER SYSTEM RESET recovery_min_apply_delay; SELECT pg_reload_conf(); or priority 0 for this node',
      ),
    );
  return found;
}

/** Sessions of each worker on a master: the kept one, LISTEN, upkeep, and short ones for probes. */
const sessionsPerWorker = 4;

export function connectionFindings(facts: ServerFacts, context: ServerContext): readonly Finding[] {
  const wanted = sessionsPerWorker * (context.others.length + 1);
  if (facts.freeConnections >= wanted) return [];
  return [
    finding(
      'warning',
      facts,
      'max_connections',
      `only ${Math.max(0, facts.freeConnections)} ordinary connections are free; the workers use up to ${wanted}`,
      `ALTER SYSTEM SET max_connections = ${Number(settingOf(facts, 'max_connections')) + wanted}; then restart, standbys first`,
    ),
  ];
}
