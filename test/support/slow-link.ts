/**
 * A long or bad wire in place of a direct one: a process that holds every frame back and loses some. Used everywhere
 * instead of tc's netem, which the kernels of small virtual machines often lack.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export interface WireQuality {
  /** One way, ms. */
  readonly delayMs: number;
  /** Up to so much more, ms. */
  readonly jitterMs?: number;
  readonly lossPercent?: number;
}

const program = fileURLToPath(new URL('../../../test/support/slow-link.pl', import.meta.url));

export function whyNoSlowLinks(): string | null {
  return existsSync('/usr/bin/perl') ? null : 'delay and loss need perl';
}

/** Resolves when frames pass. Ends with this process, or with `end`. */
export class SlowLink {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static join(one: string, other: string, quality: WireQuality): Promise<SlowLink> {
    const { delayMs, jitterMs = 0, lossPercent = 0 } = quality;
    const child = spawn('perl', [program, one, other, ...[delayMs, jitterMs, lossPercent].map(String)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`slow-link.pl ended with code ${code}`)));
      child.stdout?.once('data', () => resolve(new SlowLink(child)));
    });
  }

  end(): void {
    this.#child.removeAllListeners('exit');
    this.#child.kill('SIGKILL');
  }
}
