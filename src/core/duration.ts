/**
 * Durations as people write them in PostgreSQL's files: '500ms', '5s', '1min', '1h', '1d', '250us'. A bare number is
 * seconds, as it was in the first pg_keeper. Inside the program a duration is milliseconds.
 */

const unitMs: Readonly<Record<string, number>> = {
  us: 0.001,
  ms: 1,
  s: 1000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** What fits PostgreSQL's own integer settings and setTimeout alike: 2^31 - 1 ms, nearly 25 days. */
const longestMs = 2_147_483_647;

export type ParsedDuration =
  | { readonly kind: 'duration'; readonly ms: number }
  | { readonly kind: 'problem'; readonly message: string };

function problem(message: string): ParsedDuration {
  return { kind: 'problem', message };
}

/** Reads a duration. Units are compared exactly, as PostgreSQL does; blanks may stand around and before the unit. */
export function parseDuration(text: string, mostMs: number = longestMs): ParsedDuration {
  const match = /^\s*(-?(?:\d+(?:\.\d*)?|\.\d+))\s*([^\s\d]*)\s*$/.exec(text);
  const [, number, unit] = match ?? [];
  if (number === undefined || unit === undefined)
    return problem(`"${text}" is not a duration; write it as in 500ms, 5s or 1min`);
  const factor = unit === '' ? 1000 : Object.hasOwn(unitMs, unit) ? unitMs[unit] : undefined;
  if (factor === undefined)
    return problem(`"${text}" has the unknown unit "${unit}"; known units are us, ms, s, min, h and d`);
  const ms = Number(number) * factor;
  if (ms < 0) return problem(`"${text}" is negative`);
  if (ms > mostMs) return problem(`"${text}" is too long; at most ${formatDuration(mostMs)} is possible`);
  return { kind: 'duration', ms };
}

/** The shortest exact way to write a duration in one unit: 5000 -> '5s', 1500 -> '1500ms'. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0';
  for (const unit of ['d', 'h', 'min', 's'] as const) {
    const factor = unitMs[unit] ?? 1;
    if (ms % factor === 0) return `${ms / factor}${unit}`;
  }
  return `${Math.round(ms * 1000) / 1000}ms`;
}
