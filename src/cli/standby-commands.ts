/** The commands that make a server a standby, with their options. */
import { type Command, Option } from 'commander';
import type { Finish } from './commands.js';
import { addConnectionOptions } from './connection-options.js';
import { addSettingsOptions, loadRequestOf } from './settings-options.js';

const collected = (value: string, before: readonly string[] | undefined) => [...(before ?? []), value];

export function addClone(program: Command, finish: Finish): void {
  program
    .command('clone')
    .description("make this host's data directory a standby of a running server, by a fresh copy")
    .requiredOption('--from <conninfo>', 'the server to copy, master or standby; its role needs REPLICATION')
    .requiredOption(
      '-D, --data-directory <dir>',
      "data directory, or Debian's configuration folder of the cluster",
    )
    .option('--name <name>', 'name of the new node (default: pg_keeper.node_name, if configured)')
    .option('--slot <name>', 'stream by this physical slot of the source; made if it is not there')
    .option('--no-slot', 'stream without a slot (default)')
    .option('--rate-limit <rate>', 'kB a second, or with M: MB a second')
    .option('--force', 'replace what is in the data directory; it is moved aside')
    .option('--remove-old', 'with --force: remove it when the copy is whole')
    .addOption(new Option('--checkpoint <how>', 'fast or spread').default('fast'))
    .option('--tablespace-mapping <OLD=NEW>', 'place of a tablespace here; may be repeated', collected)
    .option(
      '--set <NAME=VALUE>',
      'setting for postgresql.auto.conf, such as port; may be repeated',
      collected,
    )
    .option('--register', 'start the server, wait until it streams, register it, wait for its vote')
    .option(
      '--conninfo <conninfo>',
      'with --register: how every node reaches this one (default: as seen by the source)',
    )
    .option('--bin-directory <dir>', "folder of PostgreSQL's programs (default: found)")
    .option('--timeout <duration>', 'with --register: longest wait for each step', '60s')
    .option('--json', 'print JSON')
    .action(async (options) => {
      const { runClone } = await import('./clone/clone.js');
      finish(await runClone(options));
    });
}

export function addRejoin(program: Command, finish: Finish): void {
  const command = program
    .command('rejoin')
    .description('bring this stopped server back as a standby of the master: rewind, else copy');
  addSettingsOptions(addConnectionOptions(command))
    .option('--from <conninfo>', 'the master (default: the nodes that this server knows are asked)')
    .option('--copy', 'a fresh copy at once, without a rewind')
    .option('--timeout <duration>', 'longest wait until it streams', '60s')
    .option('--json', 'print JSON')
    .action(async (options) => {
      const { runRejoin } = await import('./rejoin.js');
      finish(await runRejoin(loadRequestOf(options), options));
    });
}
