import type { BackendView, FleetView } from '../core/backend.ts';
import type { ChatRequest } from '../core/request.ts';
import type { RequestFeatures, RoutingLimits } from '../core/routing.ts';
import { resolveModel } from './model-aliases.ts';
import { boundPromptTokens, estimatePromptTokens } from './prompt-size.ts';
import { incapable, isReady, ofTier, predictedFirstTokenMs } from './suitability.ts';

/** Gathers what the policies need; resolves for every request, however poor the counters. */
export type Measure = (request: ChatRequest, view: FleetView, signal: AbortSignal) => Promise<RequestFeatures>;

export interface MeasureOptions {
  /** Asked for each request, so that a reload takes effect. */
  readonly limits: () => RoutingLimits;
  /** Exact tokens by the named backend's own tokenizer; undefined where it has none. */
  readonly countTokens?: (backend: string, request: ChatRequest, signal: AbortSignal) => Promise<number | undefined>;
  /** Tokens of the prompt that are in the named backend's cache already; undefined when unknown. */
  readonly warmTokens?: (backend: string, request: ChatRequest) => number | undefined;
}

interface Size {
  readonly promptTokens: number;
  readonly promptTokensFrom: RequestFeatures['promptTokensFrom'];
}

/**
 * Bytes bound the prompt first: where even the bound passes every limit nothing is asked. Otherwise the local model
 * counts, once a request; a count that fails or is out of proportion becomes an estimate, marked as one. A request for
 * the cloud alone is never shown to a local backend.
 */
export function createMeasure(options: MeasureOptions): Measure {
  const counted = new WeakMap<ChatRequest, Size>();
  return async (request, view, signal) => {
    const limits = limitsFor(request, options.limits());
    const mode = resolveModel(request.model, view.backends)?.mode ?? 'auto';
    const wanted = request.hints.mode === 'auto' ? mode : request.hints.mode;
    const base = { request, mode: request.hints.mode, limits };
    const local = wanted === 'cloud' ? undefined : counterFor(request, view);
    const warmTokens = local === undefined ? 0 : (options.warmTokens?.(local.id, request) ?? 0);

    const bound = boundPromptTokens(request);
    if (bound !== undefined && passesAll(bound, warmTokens, view, { ...base, mode: wanted })) {
      return { ...base, promptTokens: bound, promptTokensFrom: 'bound', warmTokens };
    }
    const size = counted.get(request) ?? (await sizeOf(request, local, limits, options.countTokens, signal));
    counted.set(request, size);
    return { ...base, ...size, warmTokens };
  };
}

function limitsFor(request: ChatRequest, limits: RoutingLimits): RoutingLimits {
  const confidenceThreshold = request.hints.confidenceThreshold ?? limits.confidenceThreshold;
  return { ...limits, confidenceThreshold };
}

/** The backend whose tokenizer decides: the pinned one, else the first capable and ready, else the first capable. */
function counterFor(request: ChatRequest, view: FleetView): BackendView | undefined {
  const pinned = resolveModel(request.model, view.backends)?.backend;
  const local = ofTier(view, 'local').filter(
    (backend) => (pinned === undefined || backend.id === pinned) && incapable(backend, request) === undefined,
  );
  return local.find(isReady) ?? local[0];
}

type Scale = Pick<RequestFeatures, 'request' | 'mode' | 'limits'>;

function passesAll(bound: number, warmTokens: number, view: FleetView, scale: Scale): boolean {
  const features: RequestFeatures = { ...scale, promptTokens: bound, promptTokensFrom: 'bound', warmTokens };
  const asked = view.backends.filter((backend) => scale.mode === 'auto' || backend.tier === scale.mode);
  if (asked.some((backend) => bound >= (backend.capabilities.contextTokens ?? Infinity))) return false;
  if (scale.mode !== 'auto') return true;
  if (bound > scale.limits.maxLocalTokens) return false;
  return ofTier(view, 'local').every(
    (backend) => (predictedFirstTokenMs(backend, features) ?? 0) <= scale.limits.firstTokenBudgetMs,
  );
}

async function sizeOf(
  request: ChatRequest,
  local: BackendView | undefined,
  limits: RoutingLimits,
  countTokens: MeasureOptions['countTokens'],
  signal: AbortSignal,
): Promise<Size> {
  const estimate: Size = { promptTokens: estimatePromptTokens(request), promptTokensFrom: 'estimate' };
  if (local === undefined || countTokens === undefined) return estimate;
  const largest = Math.max(limits.maxLocalTokens, local.capabilities.contextTokens ?? 0);
  if (estimate.promptTokens > countWithin * largest) return estimate;
  try {
    const promptTokens = await countTokens(local.id, request, signal);
    return promptTokens === undefined ? estimate : { promptTokens, promptTokensFrom: 'count' };
  } catch (error) {
    if (signal.aborted) throw error;
    return estimate;
  }
}

/** Past this multiple of every limit an exact number would not change the decision, only delay it. */
const countWithin = 4;
