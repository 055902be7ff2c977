/** `pgkeeper explain`: who would be promoted now, why, why not the others, what blocks it, how long writes would be out. */
import { lookAtCluster } from './cluster-look.js';
import { type ConnectionOptions, conninfoOf } from './connection-options.js';
import { CommandFailure, type ExitCode, exitCodes } from './exit-codes.js';
import { type Forecast, forecastOf, outageLines } from './forecast.js';
import { print, printJson, wrapped } from './output.js';
import { withSession } from './session.js';

export interface ExplainOptions extends ConnectionOptions {
  readonly json?: boolean;
}

export async function runExplain(options: ExplainOptions): Promise<ExitCode> {
  const cluster = await withSession(conninfoOf(options), lookAtCluster);
  if (cluster === null)
    throw new CommandFailure(exitCodes.failed, 'no node is registered, so there is nothing to promote', [
      'On the master: pgkeeper add-node NAME CONNINFO',
    ]);
  const forecast = forecastOf(cluster);
  if (options.json === true) printJson(forecast);
  else print(linesOf(forecast).join('\n'));
  return exitCodes.done;
}

export function linesOf(forecast: Forecast): readonly string[] {
  const { votes } = forecast;
  return [
    ...headline(forecast),
    '',
    ...forecast.places.map(({ name, place, reason }) =>
      item(
        `${place === null ? ' -' : ` ${place}`}  ${name}: ${place === null ? 'not promoted, ' : ''}${reason}`,
      ),
    ),
    '',
    item(`Votes: ${votes.reachable} of ${votes.voters} would be there, ${votes.needed} are needed.`),
    item(`Acknowledged commits: ${commitsText(forecast)}`),
    // What stands against a promotion blocks nothing while there is a master.
    ...forecast.blocked_by.map((block) =>
      item(`${forecast.master_alive ? 'Would be blocked' : 'Blocked'}: ${block}.`),
    ),
    ...(forecast.way_out === null ? [] : [item(`Way out: ${forecast.way_out}.`)]),
    ...forecast.warnings.map((warning) => item(`Warning: ${warning}.`)),
    ...outageText(forecast),
  ];
}

/** How long the way to the new master is says nothing where nobody may go it. */
function outageText({ outage, would_promote: next }: Forecast): readonly string[] {
  if (next === null) return ['Outage: for as long as nobody can be promoted.'];
  if (outage === null) return [];
  return ['Outage:', ...outageLines(outage).map((line) => `  ${wrapped(line, '  ')}`)];
}

function item(text: string): string {
  return wrapped(text, '    ');
}

function headline(forecast: Forecast): readonly string[] {
  const { master, epoch, master_alive: alive, would_promote: next, why } = forecast;
  const now = alive
    ? `Master of epoch ${epoch} is ${master}. If it failed now`
    : `The master of epoch ${epoch}, ${master ?? 'unknown'}, does not answer as master. Now`;
  if (next === null) return [item(`${now}, nobody would be promoted.`)];
  return [item(`${now}, ${next} would be promoted: ${why}.`)];
}

function commitsText({ commits, master }: Forecast): string {
  const { sync, members, needed, must_be_present: must, present } = commits;
  if (sync === 'off')
    return 'synchronous replication is off, so what only the master has would be lost with it.';
  if (sync === 'degraded')
    return `synchronous replication is degraded: until a wished standby is back only ${master ?? 'the last master'} has all of them.`;
  return `each is on at least ${needed} of R = {${members.join(', ')}}. ${must} of R must be there for a promotion, ${present} would be.`;
}
