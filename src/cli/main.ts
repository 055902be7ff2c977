#!/usr/bin/env node
/** Entry of the command: reads the command line, runs one command, turns every ending into an exit code. */
import { Command, CommanderError } from 'commander';
import { maskConninfo } from '../core/conninfo.js';
import { addCommands } from './commands.js';
import { CommandFailure, type ExitCode, exitCodes } from './exit-codes.js';
import { say } from './output.js';
import { programVersion } from './version.js';

function programOf(finish: (code: ExitCode) => void): Command {
  const program = new Command('pgkeeper')
    .description('Automatic failover for PostgreSQL streaming replication')
    .version(programVersion(), '-V, --version', 'show the version')
    .helpOption('--help', 'show this help; -h is the host, as in psql')
    .helpCommand(false)
    .exitOverride()
    .showSuggestionAfterError()
    .showHelpAfterError('(pgkeeper COMMAND --help shows what there is)');
  addCommands(program, finish);
  addHelp(program);
  return program;
}

/** commander's own shows everything, and no error, where it does not know the command. */
function addHelp(program: Command): void {
  program
    .command('help')
    .description('show help of a command')
    .argument('[command]', 'its name')
    .action((name: string | undefined) => {
      const asked = name === undefined ? program : program.commands.find((one) => one.name() === name);
      if (asked === undefined)
        program.error(`error: unknown command '${name}'`, { code: 'commander.unknownCommand' });
      else asked.outputHelp();
    });
}

/** How a command ended badly, in words on stderr. */
function report(error: unknown): ExitCode {
  if (error instanceof CommanderError) {
    const isHelp = error.exitCode === 0;
    return isHelp ? exitCodes.done : exitCodes.usage;
  }
  if (error instanceof CommandFailure) {
    say(`pgkeeper: ${maskConninfo(error.message)}`);
    for (const hint of error.hints) say(`  ${maskConninfo(hint)}`);
    return error.exitCode;
  }
  const { PGKEEPER_DEBUG: debug } = process.env;
  const text = error instanceof Error ? ((debug ? error.stack : undefined) ?? error.message) : String(error);
  say(`pgkeeper: ${maskConninfo(text)}`);
  return exitCodes.failed;
}

/** Output into a pipe whose reader has gone is no failure. */
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(exitCodes.done);
});

let exitCode: ExitCode = exitCodes.done;
try {
  await programOf((code) => {
    exitCode = code;
  }).parseAsync();
} catch (error) {
  exitCode = report(error);
}
process.exitCode = exitCode;
// A socket that is slow to close must not keep a finished command.
setTimeout(() => process.exit(exitCode), 200).unref();
