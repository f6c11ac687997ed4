import { type Cancellation, childOf } from '../core/abort.ts';
import type { FleetView, PromptCount } from '../core/backend.ts';
import { contentLackOf } from '../core/can-serve.ts';
import type { Clock } from '../core/clock.ts';
import { resolveModel } from '../core/model-directory.ts';
import type { ChatRequest, RuledOut, Tier } from '../core/request.ts';
import type { LocalTime, RequestFeatures, RoutingLimits } from '../core/routing.ts';
import { tokensOf } from '../core/token-estimate.ts';
import { boundPromptTokens, estimatePromptTokens } from './prompt-size.ts';
import { candidatesOf, isReady, predictedWait, type Candidate } from './suitability.ts';

/** Gathers what the policies need; resolves for every request, however poor the counters. */
export type Measure = (request: ChatRequest, view: FleetView, signal: Cancellation) => Promise<RequestFeatures>;

export interface MeasureOptions {
  readonly clock: Clock;
  /** Asked for each request, so that a reload takes effect. */
  readonly limits: () => RoutingLimits;
  /** Whether a rule may ask what time it is; absent: none does. */
  readonly wantsLocalTime?: () => boolean;
  /** What the operator's rules keep a request from, whatever its size; absent: nothing. */
  readonly ruledOut?: (request: Pick<RequestFeatures, 'request' | 'localTime'>, view: FleetView) => RuledOut;
  /** The tier that made the call whose result a request brings; absent: nobody remembers. */
  readonly loopTier?: (request: ChatRequest) => Tier | undefined;
  /** Exact tokens by the named backend's own tokenizer; undefined where it has none. */
  readonly countTokens?: (
    backend: string,
    request: ChatRequest,
    signal: Cancellation,
  ) => Promise<PromptCount | undefined>;
}

type Size = Pick<RequestFeatures, 'promptTokens' | 'promptTokensFrom' | 'warmTokens' | 'warmBackend'>;

/**
 * Bytes bound the prompt first: where even the bound passes every limit nothing is asked. Otherwise the local model
 * counts, once a request and within a time that nobody notices; a count that fails, is late or is out of proportion
 * becomes an estimate, marked as one. A request for the cloud alone is never shown to a local backend, and none to a
 * backend that a rule keeps it from.
 */
export function createMeasure(options: MeasureOptions): Measure {
  const counted = new WeakMap<ChatRequest, Size>();
  return async (request, view, signal) => {
    const limits = limitsFor(request, options.limits());
    const mode = resolveModel(request.model, view.backends)?.mode ?? 'auto';
    const wanted = request.hints.mode === 'auto' ? mode : request.hints.mode;
    const localTime = options.wantsLocalTime?.() === true ? localTimeOf(options.clock) : undefined;
    const loopTier = options.loopTier?.(request);
    const base = {
      request,
      mode: request.hints.mode,
      limits,
      ...(loopTier !== undefined && { loopTier }),
      ...(localTime !== undefined && { localTime }),
    };

    const bound = boundPromptTokens(request);
    if (bound !== undefined) {
      const bounded = boundedFeatures(request, limits, bound, loopTier);
      if (passesAll(bounded, wanted, view)) return bounded;
    }
    const local = wanted === 'cloud' ? undefined : counterFor(request, view, options.ruledOut?.(base, view));
    const size = counted.get(request) ?? (await sizeOf(request, local, limits, options, signal));
    counted.set(request, size);
    return { ...base, ...size };
  };
}

function localTimeOf(clock: Clock): LocalTime {
  const now = new Date(clock.wallMs());
  return { day: now.getDay(), minute: now.getHours() * 60 + now.getMinutes() };
}

/** What is known of a prompt by its bytes alone. */
export function boundedFeatures(
  request: ChatRequest,
  limits: RoutingLimits,
  bound: number,
  loopTier: Tier | undefined,
): RequestFeatures {
  return {
    request,
    mode: request.hints.mode,
    limits,
    promptTokens: bound,
    promptTokensFrom: 'bound',
    expectedTokens: tokensOf(bound),
    warmTokens: 0,
    ...(loopTier !== undefined && { loopTier }),
  };
}

/** The operator's numbers with what the request itself says. */
export function limitsFor(request: ChatRequest, limits: RoutingLimits): RoutingLimits {
  const { confidenceThreshold } = request.hints;
  return confidenceThreshold === undefined ? limits : { ...limits, confidenceThreshold };
}

/** The backend whose tokenizer decides: the pinned one, else the first, of those that are capable and can be asked now. */
function counterFor(request: ChatRequest, view: FleetView, ruledOut: RuledOut | undefined): Candidate | undefined {
  if (ruledOut?.tiers.includes('local') === true) return undefined;
  const pinned = resolveModel(request.model, view.backends)?.backend;
  return candidatesOf(view, 'local', request).find(
    (candidate) =>
      (pinned === undefined || candidate.backend.id === pinned) &&
      ruledOut?.backends.includes(candidate.backend.id) !== true &&
      contentLackOf(request, candidate.offer, 'local') === undefined &&
      isReady(candidate),
  );
}

function passesAll(bounded: RequestFeatures, wanted: RequestFeatures['mode'], view: FleetView): boolean {
  // By the bound itself, not by what is expected.
  const features = { ...bounded, expectedTokens: bounded.promptTokens };
  const { promptTokens, request, limits } = features;
  const tiers = wanted === 'auto' ? (['local', 'cloud'] as const) : [wanted];
  const asked = tiers.flatMap((tier) => candidatesOf(view, tier, request));
  if (asked.some(({ offer }) => promptTokens >= (offer.capabilities.contextTokens ?? Infinity))) return false;
  if (wanted !== 'auto') return true;
  if (promptTokens > limits.maxLocalTokens) return false;
  // What it waits in a queue it waits whatever the size of its prompt.
  return candidatesOf(view, 'local', request).every((candidate) => {
    const wait = predictedWait(candidate, features);
    return wait === undefined || wait.totalMs - wait.queueMs <= limits.firstTokenBudgetMs;
  });
}

async function sizeOf(
  request: ChatRequest,
  local: Candidate | undefined,
  limits: RoutingLimits,
  { clock, countTokens }: MeasureOptions,
  signal: Cancellation,
): Promise<Size> {
  const promptTokens = estimatePromptTokens(request);
  const estimate: Size = { promptTokens, promptTokensFrom: 'estimate', warmTokens: 0 };
  if (local === undefined || countTokens === undefined) return estimate;
  const { id } = local.backend;
  const largest = Math.max(limits.maxLocalTokens, local.offer.capabilities.contextTokens ?? 0);
  if (promptTokens > countWithin * largest) return estimate;
  // A counter that ignores its signal must not keep the request either.
  const late = childOf(signal);
  const given = Promise.withResolvers<undefined>();
  const cancel = clock.schedule(countMs, () => {
    late.abort(new Error('The count came too late.'));
    given.resolve(undefined);
  });
  try {
    const count = await Promise.race([countTokens(id, request, late.signal), given.promise]);
    if (count === undefined) return estimate;
    const { tokens, warmTokens = 0 } = count;
    return { promptTokens: tokens, promptTokensFrom: 'count', warmTokens, warmBackend: id };
  } catch (error) {
    if (signal.aborted) throw error;
    return estimate;
  } finally {
    cancel();
    late.release();
  }
}

/** Past this multiple of every limit an exact number would not change the decision, only delay it. */
const countWithin = 4;

/** Longest wait for a count. */
const countMs = 400;
