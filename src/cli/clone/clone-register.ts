/** `pgkeeper clone --register`: starts the new standby, waits until it streams, registers it on the master and waits for its vote. */
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { keywordOf, parseConninfo, withKeywords } from '../../core/conninfo.js';
import { queryWithDeadline, targetOf } from '../../postgres/connect.js';
import { lastValue } from '../../process/configuration-file.js';
import { createServerControl } from '../../process/server-control.js';
import { localConninfo, readDataDirectory } from '../../settings/data-directory.js';
import { conninfoProblem } from '../connection-options.js';
import { CommandFailure, type ExitCode, exitCodes } from '../exit-codes.js';
import { call, timeoutOf, waitForVote } from '../nodes.js';
import { say } from '../output.js';
import type { Refusals } from '../refusals.js';
import { connect, type Session } from '../session.js';
import type { CloneOptions } from './clone-preparation.js';
import type { CloneSource } from './clone-source.js';
import type { CloneTarget } from './clone-target.js';

export interface RegisterRequest {
  /** On the source. */
  readonly client: pg.Client;
  readonly source: CloneSource;
  readonly target: CloneTarget;
  readonly name: string;
  readonly binDirectory: string;
  readonly options: CloneOptions;
}

export interface Registered {
  readonly registered: boolean;
  readonly voting: boolean;
  readonly sentence: string;
  readonly exitCode: ExitCode;
}

interface Intent {
  /** With the source. */
  readonly session: Session;
  readonly source: CloneSource;
  readonly name: string | null;
  readonly options: CloneOptions;
}

/** What would fail after the copy, as far as it is known before. */
export async function findRegistrationTrouble(
  { session, source, name, options }: Intent,
  found: Refusals,
): Promise<void> {
  const { conninfo } = options;
  if (conninfo !== undefined) {
    const parsed = parseConninfo(conninfo);
    if (parsed.kind === 'problem')
      found.add(
        new CommandFailure(exitCodes.usage, `--conninfo: ${conninfoProblem(conninfo, parsed.message)}`),
      );
  }
  const registry = await found.gather(() => registryOf(session.client, name ?? ''));
  if (registry === null) return;
  if (conninfo !== undefined && registry.own !== null && conninfo !== registry.own)
    found.add(otherConninfo(name ?? ''));
  // Over a socket the source sees no address.
  const isLocal = targetOf(session.conninfo).host.startsWith('/');
  if (conninfo === undefined && registry.own === null && isLocal) found.add(unknownAddress());
  if (source.inRecovery)
    await found.gather(async () => {
      await (await connect(registry.masterConninfo)).client.end();
    });
}

function otherConninfo(name: string): CommandFailure {
  return new CommandFailure(
    exitCodes.refused,
    `${name} is registered already with another conninfo, which stays`,
    ['If it has moved: UPDATE pgkeeper.node_info SET conninfo = ... on the master.'],
  );
}

function unknownAddress(): CommandFailure {
  return new CommandFailure(exitCodes.usage, 'how the other nodes reach this one cannot be told', [
    'Give it with --conninfo, or register it with pgkeeper add-node on the master.',
  ]);
}

const startBoundMs = 60_000;
const pollMs = 100;

export async function registerClone(request: RegisterRequest): Promise<Registered> {
  const { name, client, options } = request;
  const timeoutMs = timeoutOf(options);
  await start(request);
  const address = await untilStreaming(client, name, timeoutMs);
  say(`${name} streams`);
  const registry = await registryOf(client, name);
  const conninfo = options.conninfo ?? registry.own ?? conninfoFrom(registry, address, request.target);
  const master = request.source.inRecovery ? (await connect(registry.masterConninfo)).client : client;
  try {
    // Made anew under its old name: it still is a node.
    if (registry.own === null)
      await call(master, 'select pgkeeper.add_node($1, $2) as done', [name, conninfo]);
    else if (conninfo !== registry.own) throw otherConninfo(name);
    const waited = await waitForVote(master, name, true, timeoutMs);
    if (waited === 'done')
      return {
        registered: true,
        voting: true,
        sentence: `${name} is registered and has a vote`,
        exitCode: 0,
      };
    const isLate = waited === 'timeout';
    return {
      registered: true,
      voting: false,
      sentence: isLate
        ? `${name} is registered, but has no vote after ${options.timeout}; pgkeeper status says more`
        : `${name} is registered; it has a vote once a worker runs beside the master`,
      exitCode: isLate ? exitCodes.timeout : exitCodes.done,
    };
  } finally {
    if (master !== client) await master.end().catch(() => undefined);
  }
}

function start({ target, binDirectory }: RegisterRequest): Promise<void> {
  const command = (name: string) => lastValue(target.entries, `pg_keeper.${name}`) ?? '';
  const control = createServerControl({
    dataDirectory: () => target.dataDirectory,
    binDirectory: () => binDirectory,
    startCommand: () => command('start_command'),
    stopCommand: () => command('stop_command'),
  });
  return control.start(startBoundMs);
}

/** From where it streams; null = over a socket. */
async function untilStreaming(client: pg.Client, name: string, timeoutMs: number): Promise<string | null> {
  const until = performance.now() + timeoutMs;
  for (;;) {
    const { rows } = await queryWithDeadline(
      client,
      `select host(client_addr) as address from pg_stat_replication where application_name = $1 and state = 'streaming'`,
      [name],
      10_000,
    );
    const row = rows[0] as { readonly address: string | null } | undefined;
    if (row !== undefined) return row.address;
    if (performance.now() > until)
      throw new CommandFailure(
        exitCodes.timeout,
        `${name} runs, but does not stream; it was not registered`,
        ['Its own log says why; then: pgkeeper add-node on the master.'],
      );
    await delay(pollMs);
  }
}

interface RegistryLook {
  readonly masterConninfo: string;
  /** Of the new standby, where its name is registered already. */
  readonly own: string | null;
}

async function registryOf(client: pg.Client, name: string): Promise<RegistryLook> {
  const { rows } = await client
    .query<{ name: string; conninfo: string; is_master: boolean }>(
      'select name, conninfo, is_master from pgkeeper.node_info',
    )
    .catch(() => ({ rows: [] }));
  const row = rows.find(({ is_master }) => is_master);
  if (row === undefined)
    throw new CommandFailure(
      exitCodes.refused,
      'the source has no registry with a master in it that this role may read',
      [
        'pgkeeper migrate and pgkeeper add-node on the master come first. Without --register it is copied all the same.',
      ],
    );
  return { masterConninfo: row.conninfo, own: rows.find((one) => one.name === name)?.conninfo ?? null };
}

/** As the master is reached, with this node's address in its place. */
function conninfoFrom({ masterConninfo }: RegistryLook, address: string | null, target: CloneTarget): string {
  const directory = readDataDirectory(target.dataDirectory);
  const port = keywordOf(typeof directory === 'string' ? '' : localConninfo(directory), 'port');
  if (address === null || port === undefined) throw unknownAddress();
  return withKeywords(masterConninfo, { host: address, hostaddr: null, port });
}
