/**
 * Several hosts on one machine: a network namespace each, joined by a bridge that this process reaches too. Cuts are made
 * by giving a host a wrong hardware address for another: packets go out and nobody hears them, one way at a time.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';

export interface Place {
  readonly host: string;
  readonly port: number;
  readonly namespace: string;
}

/** Why hosts cannot be made here; null = they can. */
export function whyNoHosts(): string | null {
  if (process.platform !== 'linux') return 'network namespaces are a Linux thing';
  if (process.getuid?.() !== 0) return 'network namespaces need root';
  const probe = `pgk${process.pid}probe`;
  try {
    execFileSync('ip', ['netns', 'add', probe], { stdio: 'pipe' });
    execFileSync('ip', ['netns', 'del', probe], { stdio: 'pipe' });
    return existsSync('/usr/bin/setpriv') ? null : 'setpriv (util-linux) is missing';
  } catch (error) {
    return `network namespaces cannot be made here: ${error instanceof Error ? error.message.trim() : String(error)}`;
  }
}

function ip(...args: readonly string[]): void {
  execFileSync('ip', [...args], { stdio: 'pipe' });
}

const nowhere = '02:00:00:00:00:fe';
let made = 0;

export class Hosts {
  readonly #id = `${process.pid}x${made++}`;
  readonly #subnet = `10.213.${(process.pid + made) % 250}`;
  readonly #names: readonly string[];

  constructor(names: readonly string[]) {
    this.#names = names;
  }

  create(): void {
    ip('link', 'add', this.#bridge, 'type', 'bridge');
    ip('addr', 'add', `${this.#subnet}.254/24`, 'dev', this.#bridge);
    ip('link', 'set', this.#bridge, 'up');
    for (const name of this.#names) {
      const inside = this.#namespace(name);
      const outside = `pk${this.#id}${name}`.slice(0, 15);
      ip('netns', 'add', inside);
      ip('link', 'add', outside, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', inside);
      ip('link', 'set', outside, 'master', this.#bridge, 'up');
      this.#in(name, 'addr', 'add', `${this.#address(name)}/24`, 'dev', 'eth0');
      this.#in(name, 'link', 'set', 'eth0', 'up');
      this.#in(name, 'link', 'set', 'lo', 'up');
    }
  }

  remove(): void {
    for (const name of this.#names) quietly(() => ip('netns', 'del', this.#namespace(name)));
    quietly(() => ip('link', 'del', this.#bridge));
  }

  placeOf(name: string): Place {
    return { host: this.#address(name), port: 5432, namespace: this.#namespace(name) };
  }

  /** Nothing that `from` sends reaches `to`; the other way is open. */
  cutOneWay(from: string, to: string): void {
    this.#in(
      from,
      'neigh',
      'replace',
      this.#address(to),
      'lladdr',
      nowhere,
      'dev',
      'eth0',
      'nud',
      'permanent',
    );
  }

  cut(a: string, b: string): void {
    this.cutOneWay(a, b);
    this.cutOneWay(b, a);
  }

  /** From all other hosts, not from this process. */
  isolate(name: string): void {
    for (const other of this.#names) if (other !== name) this.cut(name, other);
  }

  heal(): void {
    for (const from of this.#names) {
      for (const to of this.#names) {
        if (from !== to) quietly(() => this.#in(from, 'neigh', 'del', this.#address(to), 'dev', 'eth0'));
      }
    }
  }

  get #bridge(): string {
    return `pkb${this.#id}`.slice(0, 15);
  }

  #namespace(name: string): string {
    return `pgk${this.#id}-${name}`;
  }

  #address(name: string): string {
    return `${this.#subnet}.${this.#names.indexOf(name) + 1}`;
  }

  #in(name: string, ...args: readonly string[]): void {
    ip('-n', this.#namespace(name), ...args);
  }
}

function quietly(action: () => void): void {
  try {
    action();
  } catch {
    // Not there (any more).
  }
}
