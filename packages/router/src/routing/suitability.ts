import type { BackendView, FleetView } from '../core/backend.ts';
import type { Reason } from '../core/reason.ts';
import type { ChatRequest, Tier } from '../core/request.ts';
import type { RequestFeatures } from '../core/routing.ts';

/** Backends of one tier, whatever their state. */
export function ofTier(fleet: FleetView, tier: Tier): readonly BackendView[] {
  return fleet.backends.filter((backend) => backend.tier === tier);
}

/** Why a backend cannot take this kind of request at all; undefined when it can. */
export function incapable(backend: BackendView, request: ChatRequest): Reason | undefined {
  const { capabilities } = backend;
  const content = contentOf(request);
  if (content.images && !capabilities.images) return 'images_unsupported';
  // Fetching it is a packet out, whoever fetches.
  if (content.remoteImages && backend.tier === 'local') return 'images_unsupported';
  if (content.audio && !capabilities.audio) return 'images_unsupported';
  if (usesTools(request) && !capabilities.tools) return 'tools_unsupported';
  return undefined;
}

/**
 * Whether prompt and one token of answer fit. An unknown context, or a mere byte bound, excludes nothing; an estimate
 * has to be clear of the limit by its usual error, as the backend itself knows better.
 */
export function fits(backend: BackendView, features: RequestFeatures): boolean {
  const { contextTokens } = backend.capabilities;
  if (contextTokens === undefined || features.promptTokensFrom === 'bound') return true;
  const certainly = features.promptTokensFrom === 'estimate' ? estimateSlack : 1;
  return features.promptTokens * certainly < contextTokens;
}

/** Capable and large enough. */
export function suitable(fleet: FleetView, tier: Tier, features: RequestFeatures): readonly BackendView[] {
  return ofTier(fleet, tier).filter(
    (backend) => incapable(backend, features.request) === undefined && fits(backend, features),
  );
}

/** Could be asked now: up, not running out and not held back by its breaker. A half-open breaker lets a probe through. */
export function isReady({ status, breaker, isDraining }: BackendView): boolean {
  return status.state === 'ready' && breaker !== 'open' && isDraining !== true;
}

/**
 * Predicted wait for the first token in milliseconds: the part of the prompt that is not warm over the measured
 * prefill rate. Undefined until a rate has been measured.
 */
export function predictedFirstTokenMs(backend: BackendView, features: RequestFeatures): number | undefined {
  const rate = backend.status.prefillRate;
  if (rate === undefined || rate <= 0) return undefined;
  return (Math.max(0, features.promptTokens - features.warmTokens) / rate) * 1000;
}

/** Tools count as used when they may be called now or were called earlier in the conversation. */
export function usesTools(request: ChatRequest): boolean {
  if (request.tools.length > 0 && request.toolChoice?.type !== 'none') return true;
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

/** The estimator runs up to 45 % high on Chinese and Cyrillic for Qwen2.5's vocabulary. */
const estimateSlack = 0.5;
