import { keyPair, keyText, maxRouters, readKeyText, routerId, type KeyPair, type Primitives } from '@lfo/protocol';
import * as z from 'zod';

/** Where small secrets are kept; Android encrypts it with a key of its keystore. Values are at most 2 KB. */
export interface SecretStore {
  get(name: string): Promise<string | null>;
  set(name: string, value: string): Promise<void>;
  remove(name: string): Promise<void>;
}

/** A router that this phone is paired with. */
export interface KnownRouter {
  readonly id: string;
  /** Public key. */
  readonly key: Uint8Array;
  readonly name: string;
  /** Best first; none where the router dials us. */
  readonly hosts: readonly string[];
  readonly port: number;
}

/** What the owner chose. */
export const settingsSchema = z.object({
  name: z.string().min(1).max(64),
  /** Id of the model to serve; empty: none chosen. */
  model: z.string(),
  /** Whether it was serving: it goes on after a restart. */
  isOn: z.boolean(),
  startsOnBoot: z.boolean(),
  minBattery: z.number().int().min(0).max(100),
  restsInSaver: z.boolean(),
  /** Android's thermal status from which on it rests. */
  maxThermal: z.number().int().min(1).max(6),
  servesOnCellular: z.boolean(),
  downloadsOnCellular: z.boolean(),
  /** Routers may dial this phone. */
  listens: z.boolean(),
  slots: z.number().int().min(1).max(4),
  contextTokens: z.number().int().min(512).max(32_768),
});

export type Settings = z.infer<typeof settingsSchema>;

export const defaultSettings: Settings = {
  name: 'Phone',
  model: '',
  isOn: false,
  startsOnBoot: false,
  minBattery: 20,
  restsInSaver: true,
  maxThermal: 3,
  servesOnCellular: false,
  downloadsOnCellular: false,
  listens: false,
  slots: 1,
  contextTokens: 4096,
};

const names = { key: 'lfo.device.key', routers: 'lfo.routers', settings: 'lfo.settings' } as const;
const routerName = (id: string): string => `lfo.router.${id}`;
const routerSchema = z.object({
  key: z.string(),
  name: z.string().max(64),
  hosts: z.array(z.string().min(1).max(255)).max(8),
  port: z.int().min(1).max(65_535),
});

/** What the phone keeps between its starts: its key, its routers, its owner's choices. */
export class DeviceStore {
  readonly keys: KeyPair;
  readonly #secrets: SecretStore;
  readonly #routers = new Map<string, KnownRouter>();
  #settings: Settings;

  private constructor(secrets: SecretStore, keys: KeyPair, routers: readonly KnownRouter[], settings: Settings) {
    this.#secrets = secrets;
    this.keys = keys;
    this.#settings = settings;
    for (const router of routers) this.#routers.set(router.id, router);
  }

  /** Makes the device's key at the first start. @throws Error where the key is there and cannot be read */
  static async open(secrets: SecretStore, primitives: Primitives, name: string): Promise<DeviceStore> {
    const kept = await secrets.get(names.key);
    const secret = kept === null ? primitives.random(32) : readKeyText(kept);
    if (secret === undefined)
      throw new Error('The key of this phone cannot be read: clear the app’s data and pair again.');
    if (kept === null) await secrets.set(names.key, keyText(secret));
    const settings = settingsSchema.partial().safeParse(json(await secrets.get(names.settings)));
    const ids = z.array(z.string()).safeParse(json(await secrets.get(names.routers)));
    const routers: KnownRouter[] = [];
    for (const id of ids.success ? ids.data : []) {
      const router = routerSchema.safeParse(json(await secrets.get(routerName(id))));
      const key = router.success ? readKeyText(router.data.key) : undefined;
      if (router.success && key !== undefined) routers.push({ ...router.data, id, key });
    }
    const chosen = settings.success ? settings.data : {};
    return new DeviceStore(secrets, keyPair(primitives, secret), routers, {
      ...defaultSettings,
      name,
      ...Object.fromEntries(Object.entries(chosen).filter(([, value]) => value !== undefined)),
    });
  }

  get settings(): Settings {
    return this.#settings;
  }

  async choose(changes: Partial<Settings>): Promise<void> {
    this.#settings = { ...this.#settings, ...changes };
    await this.#secrets.set(names.settings, JSON.stringify(this.#settings));
  }

  get routers(): readonly KnownRouter[] {
    return [...this.#routers.values()];
  }

  isKnown(key: Uint8Array): boolean {
    const text = keyText(key);
    return this.routers.some((router) => keyText(router.key) === text);
  }

  /** Kept before this resolves: a pairing counts for the router only then. @throws Error where there are too many */
  async keep(router: KnownRouter): Promise<void> {
    if (!this.#routers.has(router.id) && this.#routers.size >= maxRouters)
      throw new Error(`This phone serves ${maxRouters} routers already: unpair one first.`);
    const { id, key, name, hosts, port } = router;
    await this.#secrets.set(
      routerName(id),
      JSON.stringify({ key: keyText(key), name: name.slice(0, 64), hosts: hosts.slice(0, 8), port }),
    );
    this.#routers.set(id, router);
    await this.#keepIds();
  }

  async forget(id: string): Promise<void> {
    if (!this.#routers.delete(id)) return;
    await this.#keepIds();
    await this.#secrets.remove(routerName(id));
  }

  async #keepIds(): Promise<void> {
    await this.#secrets.set(names.routers, JSON.stringify([...this.#routers.keys()]));
  }
}

/** The router with a key, as it is kept first. */
export function newRouter(
  primitives: Primitives,
  key: Uint8Array,
  at: Pick<KnownRouter, 'hosts' | 'port' | 'name'>,
): KnownRouter {
  return { id: routerId(primitives, key), key, ...at };
}

function json(text: string | null): unknown {
  if (text === null) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
