/**
 * Several hosts on one machine: a network namespace each, joined by a bridge that this process reaches too. Cuts are made
 * by giving a host a wrong hardware address for another: packets go out and nobody hears them, one way at a time. Other
 * faults of a link: refused by a firewall, no route, slow and lossy.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { SlowLink, type WireQuality } from './slow-link.js';

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

/** Why links cannot refuse; null = they can. */
export function whyNoFirewall(): string | null {
  return existsSync('/usr/sbin/nft') ? null : 'a firewall that refuses needs nft (apt-get install nftables)';
}

function ip(...args: readonly string[]): void {
  execFileSync('ip', [...args], { stdio: 'pipe' });
}

const nowhere = '02:00:00:00:00:fe';
const table = 'pgkeeper_test';
let made = 0;

/** What a killed run left: namespaces and bridges carry the pid of the process that made them. */
function removeLeftovers(): void {
  const isDead = (pid: string | undefined) => pid !== undefined && !existsSync(`/proc/${pid}`);
  const namespaces = existsSync('/run/netns') ? readdirSync('/run/netns') : [];
  for (const name of namespaces)
    if (isDead(/^pgk(\d+)x\d+-/.exec(name)?.[1])) quietly(() => ip('netns', 'del', name));
  for (const name of readdirSync('/sys/class/net'))
    if (isDead(/^pkb(\d+)x/.exec(name)?.[1])) quietly(() => ip('link', 'del', name));
}

export class Hosts {
  readonly #id = `${process.pid}x${made++}`;
  readonly #subnet = `10.213.${(process.pid + made) % 250}`;
  readonly #names: readonly string[];
  readonly #slow = new Map<string, SlowLink>();

  constructor(names: readonly string[]) {
    this.#names = names;
  }

  create(): void {
    removeLeftovers();
    ip('link', 'add', this.#bridge, 'type', 'bridge');
    ip('addr', 'add', `${this.#subnet}.254/24`, 'dev', this.#bridge);
    ip('link', 'set', this.#bridge, 'up');
    for (const name of this.#names) {
      const inside = this.#namespace(name);
      const outside = this.#outside(name);
      ip('netns', 'add', inside);
      ip('link', 'add', outside, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', inside);
      ip('link', 'set', outside, 'master', this.#bridge, 'up');
      this.#in(name, 'addr', 'add', `${this.#address(name)}/24`, 'dev', 'eth0');
      this.#in(name, 'link', 'set', 'eth0', 'up');
      this.#in(name, 'link', 'set', 'lo', 'up');
    }
  }

  remove(): void {
    this.#slow.forEach((link, name) => {
      this.#straighten(name, link);
    });
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
  isolate(name: string, how: (a: string, b: string) => void = (a, b) => this.cut(a, b)): void {
    for (const other of this.#names) if (other !== name) how(name, other);
  }

  /** Two hosts whose firewalls refuse each other: every packet but the refusal itself is answered with a TCP reset. */
  refuse(a: string, b: string): void {
    for (const [here, there] of [
      [a, b],
      [b, a],
    ] as const) {
      const from = `ip saddr ${this.#address(there)}`;
      this.#firewall(
        here,
        `table ip ${table} {
  chain input {
    type filter hook input priority 0
    ${from} tcp flags & rst == rst accept
    ${from} meta l4proto tcp reject with tcp reset
  }
}`,
      );
    }
  }

  /**
   * Two hosts without a route to each other: new connections fail at once (unreachable: EHOSTUNREACH; prohibit: EACCES, as
   * by a local filter), old ones hear nothing.
   */
  withoutRoute(a: string, b: string, kind: 'unreachable' | 'prohibit'): void {
    this.#in(a, 'route', 'replace', kind, `${this.#address(b)}/32`);
    this.#in(b, 'route', 'replace', kind, `${this.#address(a)}/32`);
  }

  /** Between one host and all others, this process among them. */
  async slow(name: string, quality: WireQuality): Promise<void> {
    const [near, far] = this.#wire(name);
    ip('link', 'add', near, 'type', 'veth', 'peer', 'name', far);
    ip('link', 'set', this.#outside(name), 'nomaster');
    // Both ends belong to the wire: this machine must not answer for its own address there.
    for (const device of [near, this.#outside(name)])
      writeFileSync(`/proc/sys/net/ipv4/conf/${device}/arp_ignore`, '8');
    ip('link', 'set', near, 'up');
    ip('link', 'set', far, 'master', this.#bridge, 'up');
    this.#slow.set(name, await SlowLink.join(this.#outside(name), near, quality));
  }

  /** Hosts of different groups do not reach each other. */
  split(...groups: readonly (readonly string[])[]): void {
    groups.forEach((group, i) => {
      for (const other of groups.slice(i + 1).flat()) for (const name of group) this.cut(name, other);
    });
  }

  heal(): void {
    this.#slow.forEach((link, name) => {
      this.#straighten(name, link);
    });
    for (const from of this.#names) {
      this.#firewall(from, `table ip ${table}; delete table ip ${table}`);
      for (const kind of ['unreachable', 'prohibit'])
        quietly(() => this.#in(from, 'route', 'flush', 'type', kind));
      for (const to of this.#names) {
        if (from !== to) quietly(() => this.#in(from, 'neigh', 'del', this.#address(to), 'dev', 'eth0'));
      }
    }
  }

  #straighten(name: string, link: SlowLink): void {
    link.end();
    this.#slow.delete(name);
    quietly(() => ip('link', 'del', this.#wire(name)[0]));
    quietly(() => ip('link', 'set', this.#outside(name), 'master', this.#bridge));
  }

  #firewall(name: string, rules: string): void {
    if (whyNoFirewall() !== null) return;
    execFileSync('ip', ['netns', 'exec', this.#namespace(name), 'nft', rules], { stdio: 'pipe' });
  }

  /** The two ends of the piece that is put in between. */
  #wire(name: string): readonly [string, string] {
    return [`pw${this.#id}${name}`.slice(0, 15), `px${this.#id}${name}`.slice(0, 15)];
  }

  #outside(name: string): string {
    return `pk${this.#id}${name}`.slice(0, 15);
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
