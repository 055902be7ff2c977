/**
 * Every command: its name, arguments and options. What it does is in a file of its own, loaded only when it runs, so that
 * `pgkeeper --version` is not slowed down by what it does not need.
 */
import type { Command } from 'commander';
import { addConnectionOptions } from './connection-options.js';
import type { ExitCode } from './exit-codes.js';
import { addPlannedWork } from './planned-commands.js';
import { addSettingsOptions, loadRequestOf } from './settings-options.js';
import { addClone, addRejoin } from './standby-commands.js';

export type Finish = (code: ExitCode) => void;

export function addCommands(program: Command, finish: Finish): void {
  addWorker(program, finish);
  addGuard(program, finish);
  addFenceAfterBoot(program, finish);
  addStatus(program, finish);
  addMigrate(program, finish);
  addNodes(program, finish);
  addWitnesses(program, finish);
  addFailover(program, finish);
  addClone(program, finish);
  addRejoin(program, finish);
  addPlannedWork(program, finish);
  addCheck(program, finish);
  addExplain(program, finish);
  addEvents(program, finish);
  addUri(program, finish);
  addDemo(program, finish);
}

function addWorker(program: Command, finish: Finish): void {
  const command = program
    .command('worker')
    .description('the daemon beside one server: watches, votes, fails over (SIGHUP reloads, SIGTERM stops)');
  addSettingsOptions(addConnectionOptions(command))
    .option('--handover', 'SIGTERM beside the master switches over first')
    .action(async (options) => {
      const { runWorker } = await import('./worker.js');
      finish(await runWorker(loadRequestOf(options), options.handover === true));
    });
}

/** Not for people: the worker of a master starts it. */
function addGuard(program: Command, finish: Finish): void {
  program
    .command('guard', { hidden: true })
    .requiredOption('-D, --data-directory <dir>', 'data directory of the server')
    .requiredOption('--node-name <name>', 'for the log and the process title')
    .action(async (options) => {
      const { runGuardCommand } = await import('./guard.js');
      finish(await runGuardCommand(options));
    });
}

/** For the unit of a server, before it starts. */
function addFenceAfterBoot(program: Command, finish: Finish): void {
  program
    .command('fence-after-boot')
    .description(
      'for the unit of a server: after a boot of the host it starts as a standby, until its worker has found out who is master',
    )
    .requiredOption(
      '-D, --data-directory <dir>',
      "its data directory, or Debian's /etc/postgresql/VERSION/NAME",
    )
    .option('--json', 'print JSON')
    .action(async (options) => {
      const { runFenceAfterBoot } = await import('./fence-after-boot.js');
      finish(await runFenceAfterBoot(options));
    });
}

function addStatus(program: Command, finish: Finish): void {
  const command = program.command('status').description('the cluster at a glance, from any of its nodes');
  addConnectionOptions(command)
    .option('--json', 'print JSON')
    .option('--watch', 'again every second, until interrupted')
    .action(async (options) => {
      const { runStatus } = await import('./status.js');
      finish(await runStatus(options));
    });
}

function addMigrate(program: Command, finish: Finish): void {
  const command = program
    .command('migrate')
    .description('install the objects on the master without files there (else: CREATE EXTENSION pg_keeper)');
  addConnectionOptions(command)
    .option('--down', 'take every object away again')
    .option('--json', 'print JSON')
    .action(async (options) => {
      const { runMigrate } = await import('./migrate.js');
      finish(await runMigrate(options));
    });
}

function addWaitOptions(command: Command): Command {
  return addConnectionOptions(command)
    .option('--no-wait', "do not wait for the master's worker to take it in")
    .option('--timeout <duration>', 'longest wait for it', '10s')
    .option('--json', 'print JSON');
}

function addNodes(program: Command, finish: Finish): void {
  const add = program
    .command('add-node')
    .description('register a node, on the master: first the master itself, then each standby')
    .argument('<name>', 'as application_name in its primary_conninfo')
    .argument('<conninfo>', 'libpq connection string by which every node reaches it');
  addWaitOptions(add).action(async (name: string, conninfo: string, options) => {
    const { runAdd } = await import('./nodes.js');
    finish(await runAdd('node', name, conninfo, options));
  });
  const remove = program
    .command('del-node')
    .description('remove a node from the registry, on the master; its server runs on')
    .argument('[name]', 'its name')
    .option('--seqno <number>', 'its number instead');
  addWaitOptions(remove).action(async (name: string | undefined, options) => {
    const { runDelNode } = await import('./nodes.js');
    finish(await runDelNode(name, options));
  });
}

function addWitnesses(program: Command, finish: Finish): void {
  const add = program
    .command('add-witness')
    .description(
      'register a witness, on the master: any other PostgreSQL server, which lends its vote and keeps one row',
    )
    .argument('<name>', 'unlike that of any node')
    .argument('<conninfo>', 'libpq connection string by which every node reaches it');
  addWaitOptions(add).action(async (name: string, conninfo: string, options) => {
    const { runAdd } = await import('./nodes.js');
    finish(await runAdd('witness', name, conninfo, options));
  });
  const remove = program
    .command('del-witness')
    .description('remove a witness from the registry, on the master')
    .argument('<name>', 'its name');
  addWaitOptions(remove).action(async (name: string, options) => {
    const { runDelWitness } = await import('./nodes.js');
    finish(await runDelWitness(name, options));
  });
}

function addFailover(program: Command, finish: Finish): void {
  const command = program
    .command('failover')
    .description(
      'make a standby master where nobody is, and nobody will be by itself; says first what could be lost',
    )
    .argument('<node>', 'the standby that is to take over');
  addConnectionOptions(command)
    .option('--accept-data-loss', 'go on without commits, or a majority, that only lost servers have')
    .option('--dry-run', 'say what is there and what could be lost, and do nothing')
    .option('--yes', 'do not ask for the confirmation')
    .option('--timeout <duration>', 'longest wait for it', '60s')
    .option('--json', 'print JSON')
    .action(async (node: string, options) => {
      const { runFailover } = await import('./failover.js');
      finish(await runFailover(node, options));
    });
}

function addCheck(program: Command, finish: Finish): void {
  const command = program
    .command('check')
    .description(
      'every prerequisite and setting of this server and its peers; exit code 1 if a failover is in danger',
    );
  addSettingsOptions(addConnectionOptions(command))
    .option('--json', 'print JSON')
    .action(async (options) => {
      const { runCheck } = await import('./check/check.js');
      finish(await runCheck(loadRequestOf(options), options));
    });
}

function addExplain(program: Command, finish: Finish): void {
  const command = program
    .command('explain')
    .description(
      'who would be promoted now, why, why not the others, what blocks it, how long it would take',
    );
  addConnectionOptions(command)
    .option('--json', 'print JSON')
    .action(async (options) => {
      const { runExplain } = await import('./explain.js');
      finish(await runExplain(options));
    });
}

function addEvents(program: Command, finish: Finish): void {
  const command = program.command('events').description('what happened, when, to which node, and why');
  addConnectionOptions(command)
    .option('--limit <number>', 'how many, the newest', '50')
    .option('--node <name>', 'of one node only')
    .option('--follow', 'go on with new ones, until interrupted')
    .option('--json', 'print JSON; with --follow one object a line')
    .action(async (options) => {
      const { runEvents } = await import('./events.js');
      finish(await runEvents(options));
    });
}

function addUri(program: Command, finish: Finish): void {
  const command = program
    .command('uri')
    .description('a connection URI with every node in it, for clients: it always finds the master');
  addConnectionOptions(command)
    .option('--with-password', 'with the password that this command connected with')
    .option('--json', 'print JSON')
    .action(async (options) => {
      const { runUri } = await import('./uri.js');
      finish(await runUri(options));
    });
}

function addDemo(program: Command, finish: Finish): void {
  program
    .command('demo')
    .description('a real cluster in a temporary folder, its master killed under load; leaves nothing behind')
    .option('--nodes <number>', 'servers', '3')
    .option('--bin <dir>', "folder of PostgreSQL's programs (default: found)")
    .option('--keep', 'leave it running and say how to connect')
    .option('--keepalive-time <duration>', 'interval of heartbeats')
    .option('--keepalive-count <number>', 'failures in a row')
    .option('--port <port>', 'first port')
    .action(async (options) => {
      const { runDemo } = await import('./demo.js');
      finish(await runDemo(options));
    });
}
