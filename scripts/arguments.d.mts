/** For the programs under test/ that `npm run` starts; they import it as "#arguments", wherever they are compiled to. */
import type { ParseArgsConfig, parseArgs } from 'node:util';

interface Usage {
  readonly usage: string;
  readonly numbers?: readonly string[];
  readonly positionals?: number;
}

export function readArguments<Config extends Pick<ParseArgsConfig, 'args' | 'options'>>(
  config: Config & Usage,
): ReturnType<typeof parseArgs<Config & { allowPositionals: true }>>;
