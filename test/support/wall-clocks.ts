/** Wall clocks of single hosts that jump while their monotonic clocks go on, by a small preloaded library (wall-clock.c). */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const source = fileURLToPath(new URL('../../../test/support/wall-clock.c', import.meta.url));

export function whyNoWallClocks(): string | null {
  if (process.platform !== 'linux') return 'wall clocks of single hosts are made for Linux';
  const compiler = spawnSync('cc', ['--version'], { stdio: 'ignore' });
  return compiler.status === 0
    ? null
    : 'wall clocks that jump need a C compiler (apt-get install gcc libc6-dev)';
}

export class WallClocks {
  readonly #folder: string;
  readonly #library: string;

  constructor() {
    this.#folder = mkdtempSync(join(tmpdir(), 'pgkeeper-clocks-'));
    // The servers run as an ordinary user.
    chmodSync(this.#folder, 0o755);
    this.#library = join(this.#folder, 'wall-clock.so');
    execFileSync('cc', ['-shared', '-fPIC', '-O2', '-o', this.#library, source, '-ldl'], { stdio: 'pipe' });
  }

  /** For the processes of that host; its clock is right until it is set. */
  environmentOf(host: string): Readonly<Record<string, string>> {
    writeFileSync(this.#offsetOf(host), Buffer.alloc(8));
    return { LD_PRELOAD: this.#library, WALL_CLOCK_OFFSET: this.#offsetOf(host) };
  }

  /** Seconds ahead of this machine's clock; seen at once. */
  set(host: string, seconds: number): void {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(seconds));
    // In place: the file is mapped.
    writeFileSync(this.#offsetOf(host), bytes, { flag: 'r+' });
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #offsetOf(host: string): string {
    return join(this.#folder, host);
  }
}
