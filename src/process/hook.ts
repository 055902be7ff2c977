/**
 * after_command, fencing_command, async_command: shell commands of the operator, with placeholders and environment.
 * A failure is logged and recorded, never fatal; only fencing_command's failure has a consequence (in the core).
 */
import { maskConninfo } from '../core/conninfo.js';
import { addressOf } from '../core/watch/suspicion.js';
import type { Emit, HookCall, Hooks } from '../ports.js';
import { describeFailure, runShell } from './run-command.js';

export interface HookOptions {
  readonly nodeName: string;
  readonly commands: () => Readonly<Record<HookCall['hook'], string>>;
  readonly deadlineMs: () => number;
  readonly dataDirectory: () => string;
  /** Conninfo of this node as others know it, for host and port; null while unknown. */
  readonly conninfoOf: (node: string) => string | null;
  /** One line per command that ran. */
  readonly log: (outcome: {
    readonly hook: string;
    readonly event: string;
    readonly ok: boolean;
    readonly detail: string;
    readonly tookMs: number;
  }) => void;
}

export class CommandHooks implements Hooks {
  readonly #options: HookOptions;
  readonly #emit: Emit;

  constructor(options: HookOptions, emit: Emit) {
    this.#options = options;
    this.#emit = emit;
  }

  run(call: HookCall): void {
    const command = this.#options.commands()[call.hook];
    if (command.trim() === '') {
      this.#finished(call, true, '', 0);
      return;
    }
    const values = this.#valuesOf(call);
    const started = performance.now();
    const deadlineMs = this.#options.deadlineMs();
    const environment = Object.fromEntries(
      Object.entries(values).map(([name, { value }]) => [`PGKEEPER_${name}`, value]),
    );
    void runShell(fillPlaceholders(command, values), { deadlineMs, environment }).then((result) => {
      const detail = result.ok ? result.output : describeFailure(`${call.hook}_command`, result, deadlineMs);
      this.#finished(call, result.ok, maskConninfo(detail), Math.round(performance.now() - started), true);
    });
  }

  #finished(call: HookCall, ok: boolean, detail: string, tookMs: number, ran = false): void {
    if (ran) this.#options.log({ hook: call.hook, event: call.event, ok, detail, tookMs });
    // The core waits for these two, also where there is none.
    if (ran || call.hook !== 'async')
      this.#emit({ kind: 'hook-done', hook: call.hook, event: call.event, ok, detail, ran });
  }

  #valuesOf(call: HookCall): Readonly<Record<string, HookValue>> {
    const subject = call.hook === 'fencing' ? (call.oldMaster ?? '') : this.#options.nodeName;
    const address = addressOf(this.#options.conninfoOf(subject) ?? '');
    return {
      EVENT: { letter: 'v', value: call.event },
      NODE: { letter: 'n', value: this.#options.nodeName },
      OLD_MASTER: { letter: 'o', value: call.oldMaster ?? '' },
      NEW_MASTER: { letter: 'm', value: call.newMaster ?? '' },
      HOST: { letter: 'h', value: address?.host ?? '' },
      PORT: { letter: 'p', value: address === null ? '' : String(address.port) },
      DATA_DIRECTORY: { letter: 'd', value: this.#options.dataDirectory() },
      EPOCH: { letter: 'e', value: String(call.epoch) },
    };
  }
}

interface HookValue {
  readonly letter: string;
  readonly value: string;
}

/** `%x` becomes the quoted value, `%%` a per cent sign; other letters stay as they are. */
export function fillPlaceholders(command: string, values: Readonly<Record<string, HookValue>>): string {
  const byLetter = new Map(Object.values(values).map(({ letter, value }) => [letter, value]));
  return command.replace(/%(.)/g, (whole, letter: string) => {
    if (letter === '%') return '%';
    const value = byLetter.get(letter);
    return value === undefined ? whole : `'${value.replaceAll("'", "'\\''")}'`;
  });
}
