/** The commands of planned work: name, arguments and options, as in commands.ts. */
import type { Command } from 'commander';
import type { Finish } from './commands.js';
import { addConnectionOptions } from './connection-options.js';

export function addPlannedWork(program: Command, finish: Finish): void {
  const switchover = program
    .command('switchover')
    .description('make another node master, on purpose and without loss; run it on the master')
    .argument('[target]', 'the node that is to be master (default: the best one)');
  addConnectionOptions(switchover)
    .option('--dry-run', 'print every check and change nothing')
    .option('--timeout <duration>', 'longest wait for it', '10min')
    .option('--json', 'print JSON')
    .action(async (target: string | undefined, options) => {
      const { runSwitchover } = await import('./switchover.js');
      finish(await runSwitchover(target, options));
    });
  const pause = program
    .command('pause')
    .description('nobody is promoted or fenced by itself, in the whole cluster, until resume');
  addConnectionOptions(pause)
    .option('--timeout <duration>', 'longest wait until a majority knows', '10s')
    .option('--json', 'print JSON')
    .action(async (options) => {
      const { runPause } = await import('./pause.js');
      finish(await runPause(options));
    });
  const resume = program.command('resume').description('end a pause; without a master also on a standby');
  addConnectionOptions(resume)
    .option('--master-is-down', 'on a standby, synchronous replication off: you made sure of it')
    .option('--timeout <duration>', 'longest wait for it', '60s')
    .option('--json', 'print JSON')
    .action(async (options) => {
      const { runResume } = await import('./pause.js');
      finish(await runResume(options));
    });
  const maintenance = program
    .command('maintenance')
    .description('a node under work: no candidate, and its worker leaves its server as it is')
    .argument('<node>', 'its name')
    .argument('<on|off>', 'begin or end');
  addConnectionOptions(maintenance)
    .option('--accept-no-candidate', 'though nobody is left to replace the master')
    .option('--json', 'print JSON')
    .action(async (node: string, wanted: string, options) => {
      const { runMaintenance } = await import('./node-plan.js');
      finish(await runMaintenance(node, wanted, options));
    });
  const priority = program
    .command('priority')
    .description('who is preferred as the next master, for all workers at once')
    .argument('<node>', 'its name')
    .argument('<number|default>', '0 = never master; default = what its settings say');
  addConnectionOptions(priority)
    .option('--json', 'print JSON')
    .action(async (node: string, wanted: string, options) => {
      const { runPriority } = await import('./node-plan.js');
      finish(await runPriority(node, wanted, options));
    });
}
