/** `pgkeeper maintenance NODE on|off` and `priority NODE N`: thin covers of set_maintenance and set_priority. */
import { type ConnectionOptions, conninfoOf } from './connection-options.js';
import { CommandFailure, type ExitCode, exitCodes } from './exit-codes.js';
import { printJson, say } from './output.js';
import { withSession } from './session.js';
import { sqlFailure } from './sql-failure.js';

export interface NodePlanOptions extends ConnectionOptions {
  readonly json?: boolean;
}

export interface MaintenanceOptions extends NodePlanOptions {
  readonly acceptNoCandidate?: boolean;
}

export async function runMaintenance(
  node: string,
  wanted: string,
  options: MaintenanceOptions,
): Promise<ExitCode> {
  if (wanted !== 'on' && wanted !== 'off')
    throw new CommandFailure(exitCodes.usage, `maintenance is "on" or "off", not "${wanted}"`);
  const changed = await call(options, 'pgkeeper.set_maintenance($1, $2, $3)', [
    node,
    wanted === 'on',
    options.acceptNoCandidate === true,
  ]);
  if (options.json === true) printJson({ node, maintenance: wanted === 'on', changed });
  const what =
    wanted === 'on'
      ? 'is in maintenance: no candidate, and its worker leaves its server as it is'
      : 'is not in maintenance';
  say(`${node} ${what}${changed ? '' : ', as before'}`);
  return exitCodes.done;
}

export async function runPriority(node: string, wanted: string, options: NodePlanOptions): Promise<ExitCode> {
  if (!/^(\d{1,7}|default)$/.test(wanted))
    throw new CommandFailure(
      exitCodes.usage,
      `the priority is a number from 0 on, or "default", not "${wanted}"`,
    );
  const priority = wanted === 'default' ? null : Number(wanted);
  const changed = await call(options, 'pgkeeper.set_priority($1, $2)', [node, priority]);
  if (options.json === true) printJson({ node, priority, changed });
  const text = priority === null ? 'that of its settings' : String(priority);
  say(`priority of ${node} is ${text}${changed ? '' : ', as before'}`);
  return exitCodes.done;
}

function call(options: ConnectionOptions, statement: string, values: readonly unknown[]): Promise<boolean> {
  return withSession(conninfoOf(options), async ({ client }) => {
    try {
      const { rows } = await client.query<{ done: boolean }>(`select ${statement} as done`, [...values]);
      return rows[0]?.done === true;
    } catch (error) {
      throw sqlFailure(error);
    }
  });
}
