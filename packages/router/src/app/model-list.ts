import type { Clock } from '../core/clock.ts';
import type { Backend, Capabilities } from '../core/backend.ts';
import type { ListedModel, ModelCapability } from '../core/exchange.ts';
import { listModels, type ModelServer } from '../core/model-directory.ts';
import type { TierMember } from './local-tier.ts';

/** Longest time a model that a backend has just reported stays unknown. */
const relistMs = 500;

/**
 * Lists what clients may ask for: the aliases, then each model id once. Backends learn their models as they come up, not
 * from one request to the next.
 */
export function modelLister(
  members: () => readonly TierMember[],
  clock: Clock,
): { readonly list: () => readonly ListedModel[]; readonly changed: () => void } {
  let listed: readonly ListedModel[] = [];
  let untilMs = -Infinity;
  const list = (): readonly ListedModel[] => {
    if (clock.nowMs() >= untilMs) {
      const backends = members().map(({ backend }) => backend);
      listed = listModels(backends.map(serverOf)).map((model) => withFacts(model, backends));
      untilMs = clock.nowMs() + relistMs;
    }
    return listed;
  };
  return { list, changed: () => void (untilMs = -Infinity) };
}

function serverOf(backend: Backend): ModelServer {
  const device = backend.label?.();
  return {
    id: backend.id,
    tier: backend.tier,
    models: backend.models,
    embeddingModels: backend.embedder?.models ?? [],
    ...(device === undefined ? {} : { device }),
    ...(backend.isRouter === true && { isRouter: true }),
  };
}

/** What is known of a model, or of the largest that an alias may use now: unknown stays absent. */
function withFacts(model: ListedModel, backends: readonly Backend[]): ListedModel {
  if (model.embeds === true) return withEmbedderFacts(model, backends);
  const serving = backends.filter((backend) => backend.chats !== false && serves(backend, model));
  const usable = serving.filter((backend) => backend.status().state === 'ready');
  const known = (usable.length > 0 ? usable : serving).map((backend) => capabilitiesOf(backend, model));
  const contexts = known.flatMap(({ contextTokens }) => contextTokens ?? []);
  const outputs = known.flatMap(({ maxOutputTokens }) => maxOutputTokens ?? []);
  const isLocal = serving.length > 0 && serving.every(({ tier }) => tier === 'local');
  return {
    ...model,
    ...(contexts.length > 0 && { contextTokens: Math.max(...contexts) }),
    ...(outputs.length > 0 && { maxOutputTokens: Math.max(...outputs) }),
    ...(known.length > 0 && { capabilities: namesOf(known) }),
    ...(isLocal && model.aliasOf === undefined && { isLoaded: usable.length > 0 }),
  };
}

/** Whether it is loaded, and the length of text that it takes. */
function withEmbedderFacts(model: ListedModel, backends: readonly Backend[]): ListedModel {
  const backend = backends.find(({ id }) => id === model.servers?.[0]?.id);
  const contextTokens = backend?.embedder?.contextTokens?.(model.standsFor ?? model.id);
  return {
    ...model,
    ...(contextTokens !== undefined && { contextTokens }),
    ...(backend?.tier === 'local' && { isLoaded: backend.status().state === 'ready' }),
  };
}

function serves({ id, tier, models }: Backend, { aliasOf, servers, id: model }: ListedModel): boolean {
  if (aliasOf !== undefined) return aliasOf === 'auto' || aliasOf === tier;
  return servers?.some((server) => server.id === id) ?? models.includes(model);
}

function capabilitiesOf(backend: Backend, { id, aliasOf }: ListedModel): Capabilities {
  const { capabilities } = backend;
  if (aliasOf !== undefined) return capabilities;
  const device = `@${backend.label?.()?.name ?? ''}`;
  const router = `${backend.id}/`;
  const plain = id.endsWith(device) ? id.slice(0, -device.length) : id;
  return backend.capabilitiesOf?.(plain.startsWith(router) ? plain.slice(router.length) : plain) ?? capabilities;
}

function namesOf(known: readonly Capabilities[]): readonly ModelCapability[] {
  const names: ModelCapability[] = [];
  if (known.some(({ tools }) => tools)) names.push('tools');
  if (known.some(({ images }) => images)) names.push('vision');
  if (known.some(({ reasoning }) => reasoning === true)) names.push('reasoning');
  if (known.some(({ jsonSchema }) => jsonSchema)) names.push('structured_output');
  if (known.some(({ infill }) => infill === true)) names.push('infill');
  return names;
}
