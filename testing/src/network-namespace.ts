import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import type { TestContext } from 'node:test';

/** Where everything that leaves arrives; a public address by its range, reserved for documentation. */
export const canaryAddress = '203.0.113.9';
/** Addresses of the local network at which other machines of it are played, and the router's there. */
export const lanAddresses = ['192.168.77.20', '192.168.77.21', '192.168.77.22'] as const;
export const routerLanAddress = '192.168.77.2';
/** An address of the local network that takes packets and never answers. */
export const silentLanAddress = '192.168.77.9';

const outside = { router: '198.51.100.2', canary: '198.51.100.1', router6: '2001:db8:1::2', canary6: '2001:db8:1::1' };
/** Where a site is reached from inside, and its own way out. */
export const siteAddress = '192.168.78.2';
const site = { inside: '192.168.78.1', router: '198.51.101.2', canary: '198.51.101.1' };
const routerMac = '02:00:00:00:00:01';
const canaryMac = '02:00:00:00:00:02';

/** Why this machine gives no network namespaces; `undefined` where it does. */
export function namespaceProblem(): string | undefined {
  const probe = `lfo-probe-${process.pid}`;
  try {
    ip('netns', 'add', probe);
    ip('netns', 'del', probe);
    return undefined;
  } catch {
    return 'network namespaces are not permitted here, or the program ip is missing';
  }
}

/**
 * A network of two namespaces: the inner one has loopback, a LAN on which nobody answers but what a test starts there,
 * and one way out, which leads to the canary. Its name server is the canary as well. Nothing in it reaches the machine it runs on.
 */
export class CanaryNetwork {
  readonly #inner: string;
  readonly #canary: string;
  readonly #site: string;
  /** What the kernel itself sent while the interfaces came up. */
  #chatter = 0;
  #siteChatter = 0;

  /** Resolves once the kernel has said what it says of a new interface. Gone with its test. */
  static async open(t: TestContext, { withSite = false } = {}): Promise<CanaryNetwork> {
    const network = new CanaryNetwork(`lfo-${randomUUID().slice(0, 8)}`);
    t.after(() => network.#remove());
    network.#build();
    if (withSite) network.#buildSite();
    network.#chatter = await network.quiet(1500);
    if (withSite) network.#siteChatter = network.sitePackets();
    return network;
  }

  private constructor(name: string) {
    this.#inner = `${name}-in`;
    this.#canary = `${name}-out`;
    this.#site = `${name}-site`;
  }

  /** The same at the site: a second network, one link away, whose only way out leads to the canary too. */
  insideSite(program: string, ...args: readonly string[]): readonly [string, ...string[]] {
    return ['ip', 'netns', 'exec', this.#site, program, ...args];
  }

  /** Packets of the site that have reached the canary. */
  sitePackets(): number {
    return received(this.#canary, 'canary1') - this.#siteChatter;
  }

  /** The command line that runs a program inside. */
  inside(program: string, ...args: readonly string[]): readonly [string, ...string[]] {
    return ['ip', 'netns', 'exec', this.#inner, program, ...args];
  }

  /** The command line that runs a program on another machine of the local network. */
  onLan(program: string, ...args: readonly string[]): readonly [string, ...string[]] {
    return ['ip', 'netns', 'exec', this.#canary, program, ...args];
  }

  /** IP packets, over IPv4 or IPv6, that have reached the canary since it opened; nobody needs to ask for neighbours. */
  packets(): number {
    return received(this.#canary, 'canary0') - this.#chatter;
  }

  /** The same for the LAN, where local traffic to other machines goes. */
  lanPackets(): number {
    return received(this.#canary, 'lan1');
  }

  /** Resolves with the packet count when it has not changed for so long. */
  async quiet(ms: number): Promise<number> {
    let count = this.packets();
    for (let quietMs = 0; quietMs < ms; quietMs += stepMs) {
      await new Promise((resolve) => setTimeout(resolve, stepMs));
      const now = this.packets();
      if (now !== count) quietMs = 0;
      count = now;
    }
    return count;
  }

  #build(): void {
    const [inner, canary] = [this.#inner, this.#canary];
    for (const name of [inner, canary]) addNamespace(name);
    connect(inner, 'out0', canary, 'canary0');
    connect(inner, 'lan0', canary, 'lan1');
    ip('-n', inner, 'addr', 'add', `${outside.router}/24`, 'dev', 'out0');
    ip('-n', inner, 'addr', 'add', `${outside.router6}/64`, 'dev', 'out0', 'nodad');
    ip('-n', inner, 'addr', 'add', `${routerLanAddress}/24`, 'dev', 'lan0');
    for (const address of lanAddresses) ip('-n', canary, 'addr', 'add', `${address}/24`, 'dev', 'lan1');
    for (const address of [`${outside.canary}/24`, `${canaryAddress}/32`])
      ip('-n', canary, 'addr', 'add', address, 'dev', 'canary0');
    ip('-n', canary, 'addr', 'add', `${outside.canary6}/64`, 'dev', 'canary0', 'nodad');
    for (const address of [outside.canary, outside.canary6]) {
      ip('-n', inner, 'route', 'add', 'default', 'via', address);
      ip('-n', inner, 'neigh', 'replace', address, 'lladdr', canaryMac, 'dev', 'out0', 'nud', 'permanent');
    }
    ip('-n', inner, 'neigh', 'replace', silentLanAddress, 'lladdr', canaryMac, 'dev', 'lan0', 'nud', 'permanent');
    for (const address of [outside.router, outside.router6]) {
      ip('-n', canary, 'neigh', 'replace', address, 'lladdr', routerMac, 'dev', 'canary0', 'nud', 'permanent');
    }
    nameServerOf(inner, outside.canary);
  }

  #buildSite(): void {
    const [inner, canary, name] = [this.#inner, this.#canary, this.#site];
    addNamespace(name);
    connect(name, 'out0', canary, 'canary1');
    connect(inner, 'site0', name, 'lan0');
    ip('-n', name, 'addr', 'add', `${site.router}/24`, 'dev', 'out0');
    ip('-n', canary, 'addr', 'add', `${site.canary}/24`, 'dev', 'canary1');
    ip('-n', name, 'addr', 'add', `${siteAddress}/24`, 'dev', 'lan0');
    ip('-n', inner, 'addr', 'add', `${site.inside}/24`, 'dev', 'site0');
    ip('-n', name, 'route', 'add', 'default', 'via', site.canary);
    ip('-n', name, 'neigh', 'replace', site.canary, 'lladdr', canaryMac, 'dev', 'out0', 'nud', 'permanent');
    ip('-n', canary, 'neigh', 'replace', site.router, 'lladdr', routerMac, 'dev', 'canary1', 'nud', 'permanent');
    nameServerOf(name, site.canary);
  }

  #remove(): void {
    for (const name of [this.#inner, this.#canary, this.#site]) {
      try {
        ip('netns', 'del', name);
      } catch {
        // Never made.
      }
    }
    for (const name of [this.#inner, this.#site]) rmSync(`/etc/netns/${name}`, { recursive: true, force: true });
  }
}

const stepMs = 100;

/** With loopback alone. */
function addNamespace(name: string): void {
  ip('netns', 'add', name);
  // The kernel's own chatter on new interfaces would be counted.
  const quiet = ['router_solicitations', 'accept_dad', 'accept_ra'];
  for (const key of quiet) ip('netns', 'exec', name, 'sh', '-c', `echo 0 > /proc/sys/net/ipv6/conf/default/${key}`);
  ip('-n', name, 'link', 'set', 'lo', 'up');
}

function connect(inner: string, innerLink: string, canary: string, canaryLink: string): void {
  const end = ['type', 'veth', 'peer', 'name', canaryLink, 'netns', canary, 'address', canaryMac];
  ip('link', 'add', innerLink, 'netns', inner, 'address', routerMac, ...end);
  for (const [name, link] of [
    [inner, innerLink],
    [canary, canaryLink],
  ] as const) {
    ip('-n', name, 'link', 'set', link, 'addrgenmode', 'none');
    ip('-n', name, 'link', 'set', link, 'up');
  }
}

function nameServerOf(namespace: string, address: string): void {
  mkdirSync(`/etc/netns/${namespace}`, { recursive: true });
  writeFileSync(`/etc/netns/${namespace}/resolv.conf`, `nameserver ${address}\n`);
}

function received(namespace: string, link: string): number {
  const path = `/sys/class/net/${link}/statistics/rx_packets`;
  return Number(ip('netns', 'exec', namespace, 'cat', path));
}

function ip(...args: readonly string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}
