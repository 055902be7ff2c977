/** What a process costs: CPU seconds so far and resident memory now. Linux. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

export interface ProcessCost {
  readonly cpuSeconds: number;
  readonly residentMb: number;
}

let ticksPerSecond = 0;

export function costOf(pid: number): ProcessCost {
  if (ticksPerSecond === 0)
    ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  // utime and stime are fields 14 and 15 of proc(5); the first two are cut off here.
  const cpuSeconds = (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
  const residentKb = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return { cpuSeconds, residentMb: Number(residentKb ?? '0') / 1024 };
}
