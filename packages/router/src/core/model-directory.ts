import type { DeviceLabel } from './backend.ts';
import type { ListedModel } from './exchange.ts';
import type { Mode, Tier } from './request.ts';

/** What a `model` field asks for: where it may run and, for a real model id, what runs it. */
export interface ModelTarget {
  readonly mode: Mode;
  /** Only this backend; absent where several serve the model. */
  readonly backend?: string;
  /** Only this model; absent for the aliases. */
  readonly model?: string;
}

/** Who serves what: configured backends or a `FleetView`'s. */
export interface ModelServer {
  readonly id: string;
  readonly tier: Tier;
  readonly models: readonly string[];
  /** Those that turn texts into vectors. */
  readonly embeddingModels?: readonly string[];
  /** Of a paired device. */
  readonly device?: DeviceLabel;
  /** It is another LFO. */
  readonly isRouter?: boolean;
}

const aliases: Readonly<Record<string, Mode>> = { 'lfo-auto': 'auto', 'lfo-local': 'local', 'lfo-cloud': 'cloud' };

function aliasOf(asked: string): Mode | undefined {
  return Object.hasOwn(aliases, asked) ? aliases[asked] : undefined;
}

/**
 * Resolves a model as asked: an alias, a backend's own model id, or `backend/model`. Undefined: nobody serves it (404).
 * An id served in both tiers pins the model and leaves the tier open; one served by several backends of a tier leaves
 * the choice among them to the pool. A device is reached by `model@device`, by the plain id only where its owner allows
 * that and nobody else has it: no device captures the name of another's model.
 */
export function resolveModel(asked: string, servers: readonly ModelServer[]): ModelTarget | undefined {
  const alias = aliasOf(asked);
  if (alias !== undefined) return { mode: alias };
  const serving = servers.filter((server) => servesPlainly(server, asked, servers));
  const [only, second] = serving;
  if (only === undefined) {
    const { device, model } = devicePinOf(asked, servers) ?? {};
    if (device !== undefined && model !== undefined) return { mode: device.tier, backend: device.id, model };
    const pin = pinOf(asked);
    const pinned = servers.find((server) => server.id === pin?.backend && servesPlainly(server, pin.model, servers));
    return pinned === undefined || pin === undefined ? undefined : { mode: pinned.tier, ...pin };
  }
  if (second === undefined) return { mode: only.tier, backend: only.id, model: asked };
  return { mode: modeOf(serving), model: asked };
}

/** What clients may ask for: the aliases, then each model id once. */
export function listModels(servers: readonly ModelServer[]): readonly ListedModel[] {
  const serving = new Map<string, ModelServer[]>();
  for (const server of servers) {
    for (const model of server.models) {
      if (!servesPlainly(server, model, servers)) continue;
      const known = serving.get(model);
      if (known === undefined) serving.set(model, [server]);
      else if (!known.includes(server)) known.push(server);
    }
  }
  // Another LFO behind this one has aliases of its own, which only `backend/alias` means.
  const own = Object.entries(aliases).map(([id, mode]) => {
    const { servers } = listed(id, serving.get(id) ?? []);
    return { id, ownedBy: 'lfo', aliasOf: mode, ...(servers?.length === 0 ? {} : { servers }) };
  });
  const real = Array.from(serving).filter(([id]) => aliasOf(id) === undefined);
  const pinned = servers.filter(({ isRouter }) => isRouter === true).flatMap((server) => takenModels(server, serving));
  const chats = [...own, ...real.map(([id, by]) => listed(id, by)), ...pinned, ...servers.flatMap(deviceModels)];
  return [...chats, ...embeddingModels(servers, new Set(chats.map(({ id }) => id)))];
}

/** The alias of the one local embedding model. */
const embeddingAlias = 'lfo-embed';

/**
 * The models that turn texts into vectors. A name means one model for good, since vectors of two cannot be compared: of
 * several backends with the same id it is the first one's, and `backend/model` reaches the others. A chat model goes
 * before.
 */
function embeddingModels(servers: readonly ModelServer[], taken: ReadonlySet<string>): readonly ListedModel[] {
  const found = new Map<string, ListedModel>();
  for (const server of servers) {
    for (const model of server.embeddingModels ?? []) {
      const id = server.device === undefined ? model : `${model}@${server.device.name}`;
      const entry = { ...listed(id, [server]), embeds: true as const, standsFor: model };
      if (!taken.has(id) && !found.has(id)) found.set(id, entry);
      else if (!found.has(`${server.id}/${model}`))
        found.set(`${server.id}/${model}`, { ...entry, id: `${server.id}/${model}` });
    }
  }
  const local = [...found.values()].filter(({ tier }) => tier === 'local');
  const [only] = local;
  const alias = local.length === 1 && only !== undefined ? [{ ...only, id: embeddingAlias, ownedBy: 'lfo' }] : [];
  return [...alias, ...found.values()];
}

/** Models of another LFO whose plain name is an alias of ours or has another server too, under the name that reaches it. */
function takenModels(
  server: ModelServer,
  serving: ReadonlyMap<string, readonly ModelServer[]>,
): readonly ListedModel[] {
  const taken = server.models.filter(
    (model) => aliasOf(model) !== undefined || (serving.get(model)?.some(({ id }) => id !== server.id) ?? false),
  );
  return taken.map((model) => listed(`${server.id}/${model}`, [server]));
}

/** Each model of a device under the name that always reaches it. */
function deviceModels(server: ModelServer): readonly ListedModel[] {
  const { device, models } = server;
  return device === undefined ? [] : models.map((model) => listed(`${model}@${device.name}`, [server]));
}

/** Whether the model's own id, without a name beside it, means this server too. */
export function servesPlainly(server: ModelServer, asked: string, servers: readonly ModelServer[]): boolean {
  if (!server.models.includes(asked)) return false;
  const { device } = server;
  if (device === undefined) return true;
  if (!device.plainModels.includes(asked)) return false;
  const name = asked.toLowerCase();
  const isOurs = Object.keys(aliases).includes(name);
  return (
    !isOurs &&
    !servers.some((other) => other.device === undefined && other.models.some((model) => model.toLowerCase() === name))
  );
}

function devicePinOf(
  asked: string,
  servers: readonly ModelServer[],
): { readonly device: ModelServer; readonly model: string } | undefined {
  const at = asked.lastIndexOf('@');
  if (at <= 0) return undefined;
  const [model, name] = [asked.slice(0, at), asked.slice(at + 1)];
  const device = servers.find((server) => server.device?.name === name && server.models.includes(model));
  return device === undefined ? undefined : { device, model };
}

/** Looks a model up in the list as `resolveModel` does among backends, `backend/model` included. */
export function findListed(models: readonly ListedModel[], asked: string): ListedModel | undefined {
  const exact = models.find(({ id }) => id === asked);
  if (exact !== undefined) return exact;
  const pin = pinOf(asked);
  const named = models.find(({ id }) => id === pin?.model);
  const server = named?.servers?.find(({ id }) => id === pin?.backend);
  if (server === undefined) return undefined;
  const { embeds, standsFor, servers } = named ?? {};
  return {
    id: asked,
    ownedBy: server.id,
    tier: server.tier,
    ...(embeds === true && {
      embeds,
      ...(standsFor !== undefined && { standsFor }),
      ...(servers !== undefined && { servers }),
    }),
  };
}

function listed(id: string, serving: readonly ModelServer[]): ListedModel {
  const mode = modeOf(serving);
  return {
    id,
    ownedBy: serving[0]?.id ?? 'lfo',
    ...(mode === 'auto' ? {} : { tier: mode }),
    servers: serving.map((server) => ({ id: server.id, tier: server.tier })),
  };
}

/** `backend/model`: names of backends hold no slash. */
function pinOf(asked: string): { readonly backend: string; readonly model: string } | undefined {
  const at = asked.indexOf('/');
  return at <= 0 ? undefined : { backend: asked.slice(0, at), model: asked.slice(at + 1) };
}

function modeOf(serving: readonly ModelServer[]): Mode {
  const [first] = serving;
  return first !== undefined && serving.every(({ tier }) => tier === first.tier) ? first.tier : 'auto';
}

/** Strictest wins; undefined where the two leave no tier at all. */
export function intersectModes(one: Mode, other: Mode): Mode | undefined {
  if (one === 'auto') return other;
  if (other === 'auto' || one === other) return one;
  return undefined;
}
