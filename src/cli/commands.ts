/**
 * Every command: its name, arguments and options. What it does is in a file of its own, loaded only when it runs, so that
 * `pgkeeper --version` is not slowed down by what it does not need.
 */
import type { Command } from 'commander';
import { addConnectionOptions } from './connection-options.js';
import type { ExitCode } from './exit-codes.js';
import { addSettingsOptions, loadRequestOf } from './settings-options.js';

export type Finish = (code: ExitCode) => void;

export function addCommands(program: Command, finish: Finish): void {
  addWorker(program, finish);
}

function addWorker(program: Command, finish: Finish): void {
  const command = program
    .command('worker')
    .description('the daemon beside one server: watches, votes, fails over (SIGHUP reloads, SIGTERM stops)');
  addSettingsOptions(addConnectionOptions(command)).action(async (options) => {
    const { runWorker } = await import('./worker.js');
    finish(await runWorker(loadRequestOf(options)));
  });
}
