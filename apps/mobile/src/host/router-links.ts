import { callRouter, Redialling, type DeviceHost, type RouterCall } from '@lfo/device-core';
import {
  maxRouters,
  readKeyText,
  type Carrier,
  type Clock,
  type HandshakeTarget,
  type Primitives,
} from '@lfo/protocol';
import type { MessageOf, RouterMessage } from '@lfo/protocol';
import { newRouter, type DeviceStore, type KnownRouter } from './device-store';

type Welcome = MessageOf<RouterMessage, 'welcome'>;

/** How the link to one router is. Codes are those of the router's goodbye, of the link, the handshake or a refusal. */
export type LinkState =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'connected' }
  /** Dials again by itself. */
  | { readonly kind: 'waiting'; readonly code: string; readonly untilMs: number }
  /** Needs its owner. */
  | { readonly kind: 'ended'; readonly code: string };

export interface RouterView {
  readonly router: KnownRouter;
  readonly state: LinkState;
  /** What the router calls this phone. */
  readonly deviceName?: string;
}

/** A router to be paired with. */
export interface Pairing {
  readonly hosts: readonly string[];
  readonly port: number;
  readonly psk: Uint8Array;
  /** As shown with the code; another at the other end is left without a word. */
  readonly expectedKey?: Uint8Array;
  readonly name: string;
}

export interface RouterLinksOptions {
  readonly clock: Clock;
  readonly primitives: Primitives;
  readonly store: DeviceStore;
  readonly device: DeviceHost;
  /** Undefined where nobody answers. */
  readonly connect: (host: string, port: number) => Promise<Carrier | undefined>;
  /** 0..1, uniform. */
  readonly random: () => number;
  readonly onChange: () => void;
  /** The router has removed this phone. */
  readonly onRemoved: (router: KnownRouter) => void;
}

/** The links to all routers of this phone: each is dialled, served, and dialled again as the protocol says. */
export class RouterLinks {
  readonly #options: RouterLinksOptions;
  readonly #keepers = new Map<string, Keeper>();
  #isOn = false;

  constructor(options: RouterLinksOptions) {
    this.#options = options;
  }

  get views(): readonly RouterView[] {
    return this.#options.store.routers.map(
      (router) =>
        this.#keepers.get(router.id)?.view ?? {
          router,
          state: { kind: 'ended', code: router.hosts.length === 0 ? 'dialled' : 'off' },
        },
    );
  }

  /** Dials every known router. */
  start(): void {
    this.#isOn = true;
    for (const router of this.#options.store.routers) if (!this.#keepers.has(router.id)) this.#dial(router);
  }

  /** Ends every link with a word. */
  async stop(): Promise<void> {
    this.#isOn = false;
    const keepers = [...this.#keepers.values()];
    this.#keepers.clear();
    await Promise.all(keepers.map((keeper) => keeper.end('closing')));
  }

  /** The network or the app has changed: waiting ends, and a link that may be dead is replaced by a new one. */
  lookAgain(hasNewNetwork: boolean): void {
    for (const keeper of this.#keepers.values()) keeper.lookAgain(hasNewNetwork);
  }

  /** Pairs and serves from then on. Resolves with `paired`, or with the code of what stopped it. */
  async pair({ hosts, port, psk, expectedKey, name }: Pairing): Promise<string> {
    const { store, primitives, device, clock, connect } = this.#options;
    const carrier = await connectAny(connect, hosts, port);
    if (carrier === undefined) return 'unreachable';
    let isNew = false;
    let isPaired = false;
    let router: KnownRouter | undefined;
    return await new Promise((resolve) => {
      const call = callRouter({
        carrier,
        primitives,
        clock,
        keys: store.keys,
        target: { purpose: 'pair', psk, ...(expectedKey === undefined ? {} : { expectedKey }) },
        device,
        keepKey: async (key) => {
          router = newRouter(primitives, key, { hosts, port, name });
          isNew = !store.isKnown(key);
          await store.keep(router);
        },
        onConnected: () => {},
        onWelcome: (welcome) => {
          if (router === undefined) return;
          isPaired = true;
          void this.#keepers.get(router.id)?.end('closing');
          this.#isOn = true;
          const keeper = this.#keep(router, call);
          keeper.welcomed(welcome);
          resolve('paired');
        },
      });
      const settle = async (): Promise<void> => {
        const code = await call.ended;
        // Refused after all: the router does not know this phone.
        if (router !== undefined && isNew && !isPaired) await store.forget(router.id);
        resolve(code);
      };
      void settle();
    });
  }

  /** Tells the router goodbye for good, where it can be told, and forgets it. */
  async unpair(id: string): Promise<void> {
    const keeper = this.#keepers.get(id);
    this.#keepers.delete(id);
    await keeper?.end('unpaired');
    await this.#options.store.forget(id);
    this.#options.onChange();
  }

  /** Nothing where no address is known: that router dials this phone. */
  #dial(router: KnownRouter): void {
    if (router.hosts.length > 0) this.#keep(router);
  }

  #keep(router: KnownRouter, call?: RouterCall): Keeper {
    const keeper = new Keeper(
      {
        ...this.#options,
        onForgotten: () => {
          this.#options.onRemoved(router);
          this.#keepers.delete(router.id);
          void this.#options.store.forget(router.id).then(this.#options.onChange);
        },
        onOthers: (routers) => void this.#learn(routers),
      },
      router,
    );
    this.#keepers.set(router.id, keeper);
    keeper.start(call);
    return keeper;
  }

  /** Other routers of the same owner are kept and dialled as known. */
  async #learn(routers: NonNullable<Welcome['routers']>): Promise<void> {
    const { store, primitives, onChange } = this.#options;
    for (const { key: text, name, hosts, port } of routers) {
      const key = readKeyText(text);
      if (key === undefined || store.isKnown(key) || store.routers.length >= maxRouters) continue;
      const router = newRouter(primitives, key, { name, hosts, port });
      await store.keep(router);
      if (this.#isOn) this.#dial(router);
      onChange();
    }
  }
}

interface KeeperOptions extends RouterLinksOptions {
  /** The router has removed this phone. */
  readonly onForgotten: () => void;
  readonly onOthers: (routers: NonNullable<Welcome['routers']>) => void;
}

/** Keeps the link to one router. */
class Keeper {
  readonly #options: KeeperOptions;
  #router: KnownRouter;
  #state: LinkState = { kind: 'connecting' };
  #deviceName: string | undefined;
  #redialling: Redialling;
  /** Links that are open; two while one takes over from the other. */
  readonly #calls = new Set<RouterCall>();
  #isOver = false;
  #endWait: (() => void) | undefined;

  constructor(options: KeeperOptions, router: KnownRouter) {
    this.#options = options;
    this.#router = router;
    this.#redialling = new Redialling(options.random);
  }

  get view(): RouterView {
    return {
      router: this.#router,
      state: this.#state,
      ...(this.#deviceName === undefined ? {} : { deviceName: this.#deviceName }),
    };
  }

  /** Serves over the call that paired, or dials. */
  start(call?: RouterCall): void {
    if (call !== undefined) {
      this.#become({ kind: 'connected' });
      this.#calls.add(call);
    }
    void this.#run(call === undefined ? undefined : this.#untilOver(call, this.#options.clock.nowMs()));
  }

  lookAgain(hasNewNetwork: boolean): void {
    this.#redialling = new Redialling(this.#options.random);
    this.#endWait?.();
    // A socket of the old network may never tell that it is dead: a second link takes the session over.
    if (hasNewNetwork && this.#state.kind === 'connected') void this.#dial();
  }

  async end(code: 'closing' | 'unpaired'): Promise<void> {
    this.#isOver = true;
    this.#endWait?.();
    const calls = [...this.#calls];
    for (const call of calls) call.close(code);
    await Promise.all(calls.map(({ ended }) => ended));
  }

  welcomed({ router, device, routers }: Welcome): void {
    this.#deviceName = device.name;
    if (router.name !== this.#router.name) {
      this.#router = { ...this.#router, name: router.name };
      void this.#options.store.keep(this.#router);
    }
    if (routers !== undefined) this.#options.onOthers(routers);
    this.#options.onChange();
  }

  async #run(first: Promise<Ended> | undefined): Promise<void> {
    let running = first;
    while (!this.#isOver) {
      const { code, livedMs } = await (running ?? this.#dial());
      running = undefined;
      if (this.#isOver) return;
      // What another link took over from has not been lost.
      if (this.#calls.size > 0) {
        running = Promise.race([...this.#calls].map((call) => this.#untilOver(call, this.#options.clock.nowMs())));
        continue;
      }
      if (code === 'revoked') return this.#options.onForgotten();
      const next = this.#redialling.after(code, livedMs);
      if (next.type === 'never') return this.#become({ kind: 'ended', code });
      const { clock } = this.#options;
      this.#become({ kind: 'waiting', code, untilMs: clock.nowMs() + next.afterMs });
      await new Promise<void>((resolve) => {
        const cancel = clock.schedule(next.afterMs, resolve);
        this.#endWait = () => {
          cancel();
          resolve();
        };
      });
    }
  }

  /** One link, until it ends. */
  async #dial(): Promise<Ended> {
    const { primitives, clock, store, device, connect } = this.#options;
    if (this.#calls.size === 0) this.#become({ kind: 'connecting' });
    const carrier = await connectAny(connect, this.#router.hosts, this.#router.port);
    if (carrier === undefined) return { code: 'unreachable', livedMs: 0 };
    if (this.#isOver) {
      carrier.close(true);
      return { code: 'closing', livedMs: 0 };
    }
    const target: HandshakeTarget = { purpose: 'known', peerKey: this.#router.key };
    const startedMs = clock.nowMs();
    const call = callRouter({
      carrier,
      primitives,
      clock,
      keys: store.keys,
      target,
      device,
      onConnected: () => {},
      onWelcome: (welcome) => {
        for (const older of this.#calls) if (older !== call) older.drop();
        this.#become({ kind: 'connected' });
        this.welcomed(welcome);
      },
    });
    this.#calls.add(call);
    return await this.#untilOver(call, startedMs);
  }

  async #untilOver(call: RouterCall, startedMs: number): Promise<Ended> {
    const code = await call.ended;
    this.#calls.delete(call);
    return { code, livedMs: this.#options.clock.nowMs() - startedMs };
  }

  #become(state: LinkState): void {
    this.#state = state;
    this.#options.onChange();
  }
}

interface Ended {
  readonly code: string;
  readonly livedMs: number;
}

async function connectAny(
  connect: RouterLinksOptions['connect'],
  hosts: readonly string[],
  port: number,
): Promise<Carrier | undefined> {
  for (const host of hosts) {
    const carrier = await connect(host, port);
    if (carrier !== undefined) return carrier;
  }
  return undefined;
}
