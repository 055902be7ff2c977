/** How far a copy is, on stderr: a bar that moves on a terminal, now and then a line elsewhere. */
import type { CopyProgress } from '../../process/copy/fill-copy.js';
import { formatBytes, say } from '../output.js';

const barCells = 24;
const redrawMs = 200;
const lineMs = 10_000;

export class CopyDisplay {
  readonly #begun = performance.now();
  readonly #terminal: boolean;
  #shownAt = Number.NEGATIVE_INFINITY;
  #last: CopyProgress | null = null;
  #isDrawn = false;

  constructor(terminal = process.stderr.isTTY === true) {
    this.#terminal = terminal;
  }

  show(progress: CopyProgress): void {
    this.#last = progress;
    const now = performance.now();
    if (now - this.#shownAt < (this.#terminal ? redrawMs : lineMs)) return;
    this.#shownAt = now;
    const text = progressText(progress, now - this.#begun);
    if (!this.#terminal) return say(text);
    process.stderr.write(`\r\u001b[K${bar(progress)} ${text}`);
    this.#isDrawn = true;
  }

  /** The line that is being drawn is over. */
  end(): void {
    if (this.#isDrawn) process.stderr.write('\n');
    this.#isDrawn = false;
  }

  get doneBytes(): number {
    return this.#last?.doneBytes ?? 0;
  }

  get tookMs(): number {
    return performance.now() - this.#begun;
  }
}

function shareOf({ doneBytes, totalBytes }: CopyProgress): number | null {
  return totalBytes === null || totalBytes === 0 ? null : Math.min(1, doneBytes / totalBytes);
}

function bar(progress: CopyProgress): string {
  const filled = Math.round((shareOf(progress) ?? 0) * barCells);
  return `[${'#'.repeat(filled)}${'.'.repeat(barCells - filled)}]`;
}

export function progressText(progress: CopyProgress, tookMs: number): string {
  const share = shareOf(progress);
  const rate = formatBytes(Math.round(progress.doneBytes / Math.max(0.001, tookMs / 1000)));
  const of = progress.totalBytes === null ? '' : ` of ${formatBytes(progress.totalBytes)}`;
  const percent = share === null ? '' : `${Math.floor(share * 100)}%  `;
  return `${percent}${formatBytes(progress.doneBytes)}${of}  ${rate}/s`;
}
