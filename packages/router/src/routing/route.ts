import type { Cancellation } from '../core/abort.ts';
import type { FleetView } from '../core/backend.ts';
import { contentOf, usesTools } from '../core/can-serve.ts';
import type { JsonObject } from '../core/json.ts';
import type { ChatRequest, Tier } from '../core/request.ts';
import type {
  AnswerGoal,
  Decision,
  ExpectedWorth,
  RequestFeatures,
  RoutingLimits,
  RoutingPolicy,
} from '../core/routing.ts';
import { decide } from './decide.ts';
import { boundedFeatures, createMeasure, limitsFor, type MeasureOptions } from './measure.ts';
import { boundPromptTokens } from './prompt-size.ts';
import { recordedFeatures, recordedOf } from './recorded-features.ts';
import { type CompiledRule, ruledOutUncounted } from './rules.ts';
import { type Candidate, isReady, suitable } from './suitability.ts';

/** Where a request goes, and what that was decided on. */
export interface Routed {
  readonly features: RequestFeatures;
  readonly decision: Decision;
  /** For replays; numbers and kinds, no text. */
  readonly recorded: JsonObject;
}

/** At once where a request of its kind was routed over the same snapshot before; rejects as `decide` throws. */
export type Route = (request: ChatRequest, fleet: FleetView, signal: Cancellation) => Routed | Promise<Routed>;

export interface RouteOptions extends MeasureOptions {
  /** What a local attempt is expected to be worth; undefined where that is not asked for, or nothing is known. */
  readonly expected?: ExpectedOf;
  /** Whether anybody asks for that now: then each request is looked at for itself. */
  readonly wantsExpected?: () => boolean;
  readonly policies: readonly RoutingPolicy[];
  /** The operator's, as of now; they look at everything of a request, so with any of them nothing is kept. */
  readonly rules?: () => readonly CompiledRule[];
  /** The threshold that a rule's goal asks for; undefined while too little is known. */
  readonly thresholdFor?: (goal: AnswerGoal) => number | undefined;
}

export type ExpectedOf = (
  request: ChatRequest,
  fleet: FleetView,
  size: Pick<RequestFeatures, 'promptTokens' | 'warmTokens'>,
) => ExpectedWorth | undefined;

/** What was decided for one kind of request over one snapshot. */
interface Known {
  readonly decision: Decision;
  /** The longest prompt, by the bound of its bytes, that passed every limit: a shorter one does too. */
  readonly mostTokens: number;
  readonly local: readonly Candidate[];
  readonly cloudReady: number;
}

/** Clients choose thresholds: kinds beyond so many are decided each time. */
const maxKinds = 1000;

/**
 * Measures and decides. While the bytes of a prompt pass every limit nothing of the single request votes but its kind, so
 * the decision is kept as long as the snapshot it was made over. Nothing is kept while someone waits for a place: by then
 * a decision depends on the length of a prompt.
 */
export function createRoute(options: RouteOptions): Route {
  const rulesNow = (): readonly CompiledRule[] => options.rules?.() ?? [];
  const measure = createMeasure({
    ...options,
    ruledOut: (request, fleet) => ruledOutUncounted(rulesNow(), request, fleet),
  });
  const kinds = new WeakMap<FleetView, Map<string, Known>>();
  return (request, fleet, signal) => {
    const limits = limitsFor(request, options.limits());
    const bound = boundPromptTokens(request);
    const isSingle = options.wantsExpected?.() === true || rulesNow().length > 0;
    if (bound === undefined || isSingle) return decided(request, fleet, signal);
    const loopTier = options.loopTier?.(request);
    const kind = kindOf(request, limits, bound > limits.maxLocalTokens, loopTier);
    const known = kinds.get(fleet)?.get(kind);
    if (known === undefined || bound > known.mostTokens) return decided(request, fleet, signal, kind);
    const features = boundedFeatures(request, limits, bound, loopTier);
    const { decision, local, cloudReady } = known;
    return { features, decision, recorded: recordedOf(features, local, cloudReady) };
  };

  function withExpected(features: RequestFeatures, fleet: FleetView): RequestFeatures {
    if (options.wantsExpected?.() !== true || features.mode !== 'auto') return features;
    const { request, expectedTokens: promptTokens = features.promptTokens, warmTokens } = features;
    const expected = options.expected?.(request, fleet, { promptTokens, warmTokens });
    return expected === undefined ? features : { ...features, expected };
  }

  async function decided(request: ChatRequest, fleet: FleetView, signal: Cancellation, kind?: string): Promise<Routed> {
    const measured = withExpected(await measure(request, fleet, signal), fleet);
    const decision = decide(measured, fleet, options.policies, rulesNow());
    const features = withThreshold(measured, decision.goal && options.thresholdFor?.(decision.goal));
    const isOfItsKind = features.promptTokensFrom === 'bound' && !decision.reasons.includes('first_token_too_late');
    if (kind !== undefined && isOfItsKind && !isAnyoneQueued(fleet)) {
      const local = suitable(fleet, 'local', features).filter(isReady);
      const cloudReady = suitable(fleet, 'cloud', features).filter(isReady).length;
      const known = kinds.get(fleet) ?? new Map<string, Known>();
      kinds.set(fleet, known);
      if (known.size < maxKinds) known.set(kind, { decision, mostTokens: features.promptTokens, local, cloudReady });
    }
    return { features, decision, recorded: recordedFeatures(features, fleet) };
  }
}

/** What was measured, with the threshold that a rule's goal asks for where the request names none. */
function withThreshold(features: RequestFeatures, confidenceThreshold: number | undefined): RequestFeatures {
  if (confidenceThreshold === undefined || features.request.hints.confidenceThreshold !== undefined) return features;
  return { ...features, limits: { ...features.limits, confidenceThreshold } };
}

/** Everything of a request that votes, beside the length of its prompt. */
function kindOf(request: ChatRequest, limits: RoutingLimits, isLong: boolean, loopTier: Tier | undefined): string {
  const { images, remoteImages, audio } = contentOf(request);
  const hasGap = request.continuation?.suffix !== undefined;
  const bits = [images, remoteImages, audio, usesTools(request), isLong, hasGap];
  const content = bits.reduce((sum, bit, at) => sum + (bit ? 1 << at : 0), 0);
  const { maxLocalTokens, firstTokenBudgetMs, confidenceThreshold, spend } = limits;
  const choice = request.tools.length === 0 ? 'no' : request.toolChoice?.type;
  const format = `${request.responseFormat?.type} ${choice} ${loopTier} ${spend}`;
  return `${request.hints.mode} ${content} ${format} ${maxLocalTokens} ${firstTokenBudgetMs} ${confidenceThreshold} ${request.model}`;
}

function isAnyoneQueued({ backends }: FleetView): boolean {
  return backends.some(
    ({ queueMs, maxInFlight = Infinity, inFlight }) => (queueMs ?? 0) > 0 || inFlight >= maxInFlight,
  );
}
