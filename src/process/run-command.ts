/**
 * Runs a program or a shell command with a deadline and captured output. As root it runs as the owner of the data
 * directory, since PostgreSQL's programs refuse root.
 */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { messageOf } from '../core/error-text.js';

export interface CommandResult {
  readonly ok: boolean;
  /** Last lines of stdout and stderr together. */
  readonly output: string;
  readonly timedOut: boolean;
  readonly exit: string;
}

export interface CommandOptions {
  readonly deadlineMs: number;
  readonly environment?: Readonly<Record<string, string>>;
  /** Runs as the owner of that path when this process is root. */
  readonly asOwnerOf?: string;
  /** All of stdout and stderr, in pieces as they come. */
  readonly onOutput?: (text: string) => void;
  /** Ends only with the last word: of programs that leave nothing running behind. */
  readonly readsAll?: boolean;
  /** Ends the program, and with it what it has started. */
  readonly signal?: AbortSignal;
}

const keptOutput = 4000;

function identityOf(path: string | undefined): { uid?: number; gid?: number } {
  if (path === undefined || process.getuid?.() !== 0) return {};
  const { uid, gid } = statSync(path);
  return uid === 0 ? {} : { uid, gid };
}

const setpriv = '/usr/bin/setpriv';

function hasAccount(uid: number): boolean {
  try {
    return readFileSync('/etc/passwd', 'utf8')
      .split('\n')
      .some((line) => line.split(':')[2] === String(uid));
  } catch {
    return false;
  }
}

/**
 * spawn takes all other groups away from a child that it gives another user. A server needs them: on Debian its TLS key is
 * readable for the group ssl-cert. setpriv (util-linux) keeps them; where it cannot, spawn does it without.
 */
function switched(
  program: string,
  args: readonly string[],
  { uid, gid }: { readonly uid?: number; readonly gid?: number },
): { program: string; args: readonly string[]; identity: { uid?: number; gid?: number } } {
  if (uid === undefined || gid === undefined) return { program, args, identity: {} };
  if (!existsSync(setpriv) || !hasAccount(uid)) return { program, args, identity: { uid, gid } };
  const user = [`--reuid=${uid}`, `--regid=${gid}`, '--init-groups', '--'];
  return { program: setpriv, args: [...user, program, ...args], identity: {} };
}

function environmentFor(options: CommandOptions, otherUser: boolean): NodeJS.ProcessEnv {
  const environment: NodeJS.ProcessEnv = { ...process.env, ...options.environment };
  // libpq looks for .pgpass in HOME first; without it, in the home of the user it runs as.
  if (otherUser) delete environment['HOME'];
  return environment;
}

/** Without memory or processes spawn throws, or gives a child without pipes. */
function started(program: string, args: readonly string[], options: SpawnOptions): ChildProcess | string {
  try {
    return spawn(program, args, options);
  } catch (error) {
    return messageOf(error);
  }
}

/** Never rejects: a program that cannot be started is a result too. */
export function runProgram(
  program: string,
  args: readonly string[],
  options: CommandOptions,
): Promise<CommandResult> {
  const identity = identityOf(options.asOwnerOf);
  const call = switched(program, args, identity);
  return new Promise((resolve) => {
    let output = '';
    let timedOut = false;
    const child = started(call.program, call.args, {
      ...call.identity,
      cwd: '/',
      env: environmentFor(options, identity.uid !== undefined),
      stdio: ['ignore', 'pipe', 'pipe'],
      // A group of its own, so that the deadline ends what the command has started as well.
      detached: true,
    });
    if (typeof child === 'string') {
      resolve({ ok: false, output: '', timedOut: false, exit: child });
      return;
    }
    const take = (chunk: Buffer) => {
      const text = chunk.toString('utf8');
      options.onOutput?.(text);
      output = (output + text).slice(-keptOutput);
    };
    child.stdout?.on('data', take);
    child.stderr?.on('data', take);
    const timer = setTimeout(() => {
      timedOut = true;
      endGroup(child.pid);
    }, options.deadlineMs);
    const abort = () => endGroup(child.pid);
    options.signal?.addEventListener('abort', abort);
    if (options.signal?.aborted === true) abort();
    const finish = (ok: boolean, exit: string) => {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', abort);
      child.stdout?.destroy();
      child.stderr?.destroy();
      resolve({ ok: ok && !timedOut, output: output.trim(), timedOut, exit });
    };
    child.on('error', (error) => finish(false, error.message));
    // Else 'exit' and not 'close': a server started by the command keeps the pipes open for ever.
    child.on(options.readsAll === true ? 'close' : 'exit', (code: number | null, signal: string | null) =>
      setImmediate(() => finish(code === 0, code === null ? `signal ${signal}` : `exit code ${code}`)),
    );
  });
}

export function runShell(command: string, options: CommandOptions): Promise<CommandResult> {
  return runProgram('/bin/sh', ['-c', command], options);
}

function endGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Gone by itself.
  }
}

/** One text for an error message. */
export function describeFailure(what: string, result: CommandResult, deadlineMs: number): string {
  const how = result.timedOut ? `not finished in ${deadlineMs} ms` : result.exit;
  return `${what}: ${how}${result.output === '' ? '' : `: ${result.output.split('\n').slice(-5).join(' | ')}`}`;
}
