import type { BackendView, ModelOffer } from './backend.ts';
import type { ChatRequest, Tier } from './request.ts';

/** A request and the size of its prompt, as far as it is known. */
export interface SizedRequest {
  readonly request: ChatRequest;
  readonly promptTokens: number;
  /** Absent: counted. */
  readonly promptTokensFrom?: 'count' | 'bound' | 'estimate';
}

/** What an offer lacks for a request; each is also the reason code of a route. */
export type Lack =
  | 'images_unsupported'
  | 'tools_unsupported'
  | 'only_tools'
  | 'infill_unsupported'
  | 'context_too_small';

/**
 * What a model of a tier lacks for the request; undefined where it can serve it. A JSON schema that it does not enforce
 * is no lack: the answer is checked. An unknown context, or a mere byte bound, excludes nothing; an estimate has to be
 * clear of the limit by its usual error, as the backend itself knows better.
 */
export function lackOf(asked: SizedRequest, offer: Pick<ModelOffer, 'capabilities'>, tier: Tier): Lack | undefined {
  return contentLackOf(asked.request, offer, tier) ?? (fits(asked, offer) ? undefined : 'context_too_small');
}

/** The one rule on which models may be given a request. */
export function canServe(asked: SizedRequest, offer: Pick<ModelOffer, 'capabilities'>, tier: Tier): boolean {
  return lackOf(asked, offer, tier) === undefined;
}

/** As `lackOf`, whatever the size of the prompt. */
export function contentLackOf(
  request: ChatRequest,
  { capabilities }: Pick<ModelOffer, 'capabilities'>,
  tier: Tier,
): Exclude<Lack, 'context_too_small'> | undefined {
  const content = contentOf(request);
  if (content.images && !capabilities.images) return 'images_unsupported';
  // Fetching it is a packet out, whoever fetches.
  if (content.remoteImages && tier === 'local') return 'images_unsupported';
  if (content.audio && !capabilities.audio) return 'images_unsupported';
  if (usesTools(request) && !capabilities.tools) return 'tools_unsupported';
  if (capabilities.toolsOnly === true && !mayCall(request)) return 'only_tools';
  if (request.continuation?.suffix !== undefined && (capabilities.infill ?? false) === false)
    return 'infill_unsupported';
  return undefined;
}

function fits(asked: SizedRequest, { capabilities: { contextTokens } }: Pick<ModelOffer, 'capabilities'>): boolean {
  if (contextTokens === undefined || asked.promptTokensFrom === 'bound') return true;
  const certainly = asked.promptTokensFrom === 'estimate' ? estimateSlack : 1;
  // One token of answer must fit too.
  return asked.promptTokens * certainly < contextTokens;
}

/** The estimator runs up to 45 % high on Chinese and Cyrillic for Qwen2.5's vocabulary. */
const estimateSlack = 0.5;

/** The models of a backend and what each can do, at least one. */
export function offersOf({
  models,
  capabilities,
  offers,
}: Pick<BackendView, 'models' | 'capabilities' | 'offers'>): readonly ModelOffer[] {
  if (offers !== undefined && offers.length > 0) return offers;
  return models.length === 0 ? [{ model: '', capabilities }] : models.map((model) => ({ model, capabilities }));
}

/**
 * The offer that an attempt would use: the model asked for, also one that the backend has not reported; else the first
 * that can serve the request, else the default.
 */
export function offerFor(
  backend: Pick<BackendView, 'models' | 'capabilities' | 'offers' | 'tier'>,
  model: string | undefined,
  request: ChatRequest,
): ModelOffer {
  const offers = offersOf(backend);
  const { capabilities } = backend;
  if (model !== undefined) return offers.find((offer) => offer.model === model) ?? { model, capabilities };
  const able = offers.find((offer) => contentLackOf(request, offer, backend.tier) === undefined);
  return able ?? offers[0] ?? { model: '', capabilities };
}

/** Whether a call may be answered. */
export function mayCall({ tools, toolChoice }: ChatRequest): boolean {
  return tools.length > 0 && toolChoice?.type !== 'none';
}

/** Whether nothing but a call may be answered. */
export function mustCall({ toolChoice }: ChatRequest): boolean {
  return toolChoice?.type === 'required' || toolChoice?.type === 'function';
}

/** Tools count as used when they may be called now or were called earlier in the conversation. */
export function usesTools(request: ChatRequest): boolean {
  if (mayCall(request)) return true;
  return request.messages.some(
    (message) => message.role === 'tool' || (message.role === 'assistant' && message.toolCalls.length > 0),
  );
}

interface Content {
  readonly images: boolean;
  /** Some are addresses on the web. */
  readonly remoteImages: boolean;
  readonly audio: boolean;
}

/** Each backend and policy asks again, and a conversation can be long. */
const contents = new WeakMap<ChatRequest, Content>();

/** Kinds of content besides text; looked for once a request. */
export function contentOf(request: ChatRequest): Content {
  const known = contents.get(request);
  if (known !== undefined) return known;
  const content = lookThrough(request);
  contents.set(request, content);
  return content;
}

function lookThrough(request: ChatRequest): Content {
  let images = false;
  let remoteImages = false;
  let audio = false;
  for (const message of request.messages) {
    for (const part of message.content) {
      // A file is a document page by page: who takes images takes it.
      if (part.type === 'image' || part.type === 'file') images = true;
      if (part.type === 'image' && /^https?:/i.test(part.url)) remoteImages = true;
      if (part.type === 'audio') audio = true;
    }
  }
  return { images, remoteImages, audio };
}
