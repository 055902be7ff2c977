// The options of `npm run soak`, `bench`, `faults` and of `npm test`: --help prints the usage, what is not understood ends the process with 2,
// as pgkeeper itself does.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

/** Says what is wrong, then the usage. */
function wrongUsage(message, usage) {
  console.error(`${message}\n\n${usage}`);
  process.exit(2);
}

/** As util.parseArgs. `numbers`: options whose value is one. `positionals`: how many there may be. --bin is where PostgreSQL's programs are. */
export function readArguments({
  usage,
  options,
  numbers = [],
  positionals = 0,
  args = process.argv.slice(2),
}) {
  const parsed = parsedBy(usage, { options: { ...options, help: { type: 'boolean' } }, args });
  if (parsed.values.help === true) {
    console.log(usage);
    process.exit(0);
  }
  const [surplus] = parsed.positionals.slice(positionals);
  if (surplus !== undefined) wrongUsage(`"${surplus}" is not understood`, usage);
  for (const name of numbers) {
    const text = parsed.values[name];
    if (text !== undefined && !/^\d+(\.\d+)?$/.test(text))
      wrongUsage(`--${name} takes a number, not "${text}"`, usage);
  }
  const { bin } = parsed.values;
  if (bin !== undefined && !existsSync(join(bin, 'initdb')))
    wrongUsage(`--bin: ${bin} holds no initdb`, usage);
  return parsed;
}

function parsedBy(usage, config) {
  try {
    return parseArgs({ ...config, allowPositionals: true });
  } catch (error) {
    if (!String(error.code).startsWith('ERR_PARSE_ARGS_')) throw error;
    // Its further sentences are about names of files that begin with a dash.
    return wrongUsage(error.message.split('. ')[0], usage);
  }
}
