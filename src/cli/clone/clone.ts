/**
 * `pgkeeper clone`: makes this host's data directory a standby of a running server. Source and target are judged first
 * (clone-preparation.ts); what is replaced is only moved aside, and only when the copy is whole.
 */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { withKeywords } from '../../core/conninfo.js';
import { openClient, targetOf } from '../../postgres/connect.js';
import { changeConfiguration, replaceFile } from '../../process/configuration-change.js';
import { lastValue, readConfigurationFile } from '../../process/configuration-file.js';
import { type CopyOutcome, copyFrom } from '../../process/copy/base-copy.js';
import { CommandFailure, type ExitCode, exitCodes } from '../exit-codes.js';
import { formatBytes, printJson, say } from '../output.js';
import { type CloneOptions, type Plan, prepareClone } from './clone-preparation.js';
import { type Registered, registerClone } from './clone-register.js';
import { type CloneSource, slotInUse } from './clone-source.js';
import type { CloneTarget } from './clone-target.js';
import { CopyDisplay } from './copy-display.js';

export async function runClone(options: CloneOptions): Promise<ExitCode> {
  const ready = await prepareClone(options);
  const { target, session, source, name, plan, binDirectory } = ready;
  const { client, conninfo } = session;
  try {
    const display = new CopyDisplay();
    const { host, port } = targetOf(conninfo);
    say(
      `copying ${host}:${port} (${formatBytes(source.bytes) ?? 'size unknown'}) to ${target.dataDirectory}`,
    );
    const outcome = await copy(source, target, { ...plan, name, binDirectory }, display);
    // The copy is whole: whether its server starts is another matter, and then this has been said.
    const old = keepOrRemove(outcome.old, options.removeOld === true);
    if (old !== null) say(`what was there before is in ${old}; remove it when you do not need it any more`);
    const registered = options.register
      ? await registerClone({ client, source, target, name, binDirectory, options })
      : null;
    return finish(options, target, name, { ...outcome, old }, registered, display);
  } finally {
    await client.end().catch(() => undefined);
  }
}

interface CopyPlan extends Plan {
  readonly name: string;
  readonly binDirectory: string;
}

async function copy(
  source: CloneSource,
  target: CloneTarget,
  plan: CopyPlan,
  display: CopyDisplay,
): Promise<CopyOutcome> {
  const breakOff = new AbortController();
  const onSignal = () => breakOff.abort();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, onSignal);
  const createSlot = plan.slot !== null && (await makesSlot(source.conninfo, plan.slot));
  try {
    return await copyFrom({
      source: source.conninfo,
      dataDirectory: target.dataDirectory,
      binDirectory: plan.binDirectory,
      checkpoint: plan.checkpoint,
      tablespaces: plan.tablespaces,
      ...(plan.rateLimit === null ? {} : { rateLimit: plan.rateLimit }),
      ...(plan.slot === null ? {} : { slot: plan.slot }),
      // A node of this cluster that is made anew keeps its port and its rules; another server's are of no use.
      keepConfiguration: target.configFile !== null || isOldNode(source, target),
      keepOld: true,
      signal: breakOff.signal,
      onProgress: (progress) => display.show(progress),
      finish: (folder) => makeStandby(folder, source, target, plan),
    });
  } catch (error) {
    if (createSlot && plan.slot !== null) await dropSlot(source.conninfo, plan.slot);
    const what = breakOff.signal.aborted
      ? 'interrupted'
      : error instanceof Error
        ? error.message
        : String(error);
    throw new CommandFailure(exitCodes.failed, `the copy failed: ${what}`, [
      'What was copied so far is removed; begin again with the same command.',
    ]);
  } finally {
    display.end();
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, onSignal);
  }
}

function isOldNode(source: CloneSource, target: CloneTarget): boolean {
  return target.systemIdentifier === source.systemIdentifier;
}

/** True when this command made it, and takes it back when the copy fails. */
async function makesSlot(conninfo: string, slot: string): Promise<boolean> {
  return onSource(conninfo, async (query) => {
    const [found] = await query(`select active from pg_replication_slots where slot_name = $1`, [slot]);
    if (found?.['active'] === true) throw slotInUse(slot);
    if (found !== undefined) return false;
    await query('select pg_create_physical_replication_slot($1, true)', [slot]);
    return true;
  });
}

async function dropSlot(conninfo: string, slot: string): Promise<void> {
  try {
    await onSource(conninfo, (query) => query('select pg_drop_replication_slot($1)', [slot]));
  } catch {
    say(`the slot "${slot}" is left on the source: SELECT pg_drop_replication_slot('${slot}')`);
  }
}

type Query = (text: string, values: readonly string[]) => Promise<readonly Record<string, unknown>[]>;

async function onSource<T>(conninfo: string, work: (query: Query) => Promise<T>): Promise<T> {
  const client = await openClient(conninfo, { applicationName: 'pgkeeper clone', connectTimeoutMs: 10_000 });
  try {
    return await work(
      async (text, values) => (await client.query<Record<string, unknown>>(text, [...values])).rows,
    );
  } finally {
    client.end().catch(() => undefined);
  }
}

/** What makes a copy a standby of its source, under its own name. */
function makeStandby(folder: string, source: CloneSource, target: CloneTarget, plan: CopyPlan): void {
  const autoConf = join(folder, 'postgresql.auto.conf');
  const copied = existsSync(autoConf) ? readConfigurationFile(autoConf).entries : [];
  const ownName = lastValue(target.configFile === null ? [] : target.entries, 'pg_keeper.node_name');
  changeConfiguration(autoConf, {
    primary_conninfo: primaryConninfo(source.conninfo, plan.name),
    primary_slot_name: plan.slot,
    // What a keeper had set on the source for itself.
    'pg_keeper.fenced': null,
    synchronous_standby_names: null,
    ...(lastValue(copied, 'wal_retrieve_retry_interval') === '10ms'
      ? { wal_retrieve_retry_interval: null }
      : {}),
    'pg_keeper.node_name': ownName === plan.name ? null : plan.name,
    ...plan.settings,
  });
  if (!isOldNode(source, target)) rmSync(join(folder, 'pgkeeper.guard'), { force: true });
  // By this pg_ctl and the worker find programs and configuration, before the first start too.
  const { dataDirectory, configFile } = target;
  const config = configFile === null ? '' : ` "-c" "config_file=${configFile}"`;
  replaceFile(
    join(folder, 'postmaster.opts'),
    `${join(plan.binDirectory, 'postgres')} "-D" "${dataDirectory}"${config}\n`,
  );
}

function primaryConninfo(conninfo: string, name: string): string {
  const { host, port, user } = targetOf(conninfo);
  const { PGPASSWORD: password } = process.env;
  return withKeywords(conninfo, {
    host,
    port: String(port),
    user,
    ...(/\bpassword\s*=|:[^@/]*@/.test(conninfo) || !password ? {} : { password }),
    dbname: null,
    hostaddr: null,
    target_session_attrs: null,
    application_name: name,
  });
}

function finish(
  options: CloneOptions,
  target: CloneTarget,
  name: string,
  outcome: CopyOutcome,
  registered: Registered | null,
  display: CopyDisplay,
): ExitCode {
  const { dataDirectory, configFile } = target;
  const { old } = outcome;
  say(
    `${dataDirectory} is a standby named ${name} now, by ${outcome.how}, in ${Math.round(display.tookMs / 1000)} s`,
  );
  if (registered === null) {
    const place = configFile === null ? `-D ${dataDirectory}` : `its service (configuration: ${configFile})`;
    say(
      `next: start the server (${place}) and its worker, then pgkeeper add-node ${name} on the master, if it is not registered already`,
    );
  } else say(registered.sentence);
  if (options.json === true)
    printJson({
      node: name,
      dataDirectory,
      how: outcome.how,
      bytes: display.doneBytes,
      tookMs: Math.round(display.tookMs),
      old,
      registered: registered?.registered ?? false,
      voting: registered?.voting ?? false,
    });
  return registered?.exitCode ?? exitCodes.done;
}

function keepOrRemove(old: string | null, remove: boolean): string | null {
  if (old === null || !remove) return old;
  rmSync(old, { recursive: true, force: true });
  return null;
}
