import type { Attempt, Backend, ModelOffer, PoolChoice, Rates } from '../core/backend.ts';
import { type Lack, lackOf, offerFor } from '../core/can-serve.ts';
import type { RunningRequest } from '../core/predicted-work.ts';
import type { ChatRequest } from '../core/request.ts';
import type { CircuitBreaker } from './breaker.ts';
import { RateEstimator } from './rate-estimator.ts';

/** One backend of the pool and what the pool knows of it. */
export interface Member {
  readonly backend: Backend;
  readonly breaker: CircuitBreaker;
  /** Requests it may be given at once. */
  readonly maxInFlight: number;
  /** The requests it has now. */
  readonly running: Set<RunningRequest>;
  /** What was measured of each model. */
  readonly rates: Map<string, RateEstimator>;
  /** Monotonic; the backend asked for a pause until then, for one model or, under `undefined`, for all. */
  readonly notBeforeMs: Map<string | undefined, number>;
  /** Rises with each pick; 0 for never. */
  lastPick: number;
  /** Answers that a device which is new or just back still owes; one request at a time until the first. */
  slowStart: { left: number; isProven: boolean };
  /** Answers in a row that began far later than predicted. */
  lateStarts: number;
  /** Monotonic; it takes nothing before, and then again. */
  busyUntilMs: number;
  /** Runs out: what it has goes on, nothing new comes. */
  isDraining: boolean;
  /** The most that a device among these members is believed of its own speed. */
  readonly most: () => Pick<Rates, 'prefillRate' | 'decodeRate'>;
}

/** Why a backend cannot take a request: the request will never do, or not now, or only after a wait. */
export type SkipKind =
  | 'context'
  | 'images'
  | 'tools'
  | 'only_tools'
  | 'infill'
  | 'model'
  | 'excluded'
  | 'draining'
  | 'down'
  | 'open'
  | 'rate_limited'
  | 'loading'
  /** Takes nothing of this kind now, for its own reasons. */
  | 'held'
  | 'full';

export interface Skip {
  readonly backend: string;
  readonly kind: SkipKind;
  readonly why: string;
  /** When asking again makes sense. */
  readonly waitMs?: number;
}

/** What of a choice decides on eligibility. */
export type Asked = Pick<PoolChoice, 'request' | 'exclude' | 'promptTokens' | 'promptTokensFrom'>;

/** Why the member cannot take the attempt now; `undefined` when it can. */
export function skipOf(member: Member, attempt: Attempt, asked: Asked, nowMs: number): Skip | undefined {
  const { backend, breaker } = member;
  const skip = (kind: SkipKind, why: string, waitMs?: number): Skip => ({
    backend: backend.id,
    kind,
    why,
    ...(waitMs === undefined ? {} : { waitMs }),
  });
  const models = attempt.embeds === true ? (backend.embedder?.models ?? []) : backend.models;
  if (attempt.model !== undefined && models.length > 0 && !models.includes(attempt.model)) {
    return skip('model', 'does not serve the model');
  }
  const offer = offerAt(backend, attempt, asked.request);
  const lack = lackOf(asked, offer, backend.tier);
  if (lack !== undefined) return skip(...lacks[lack]);
  if (asked.exclude.has(backend.id) && attempt.isStandIn !== true)
    return skip('excluded', 'has failed this request already');
  if (member.isDraining) return skip('draining', 'is given nothing new until it is resumed in the dashboard');
  const pauseMs = pausedMs(member, offer.model, nowMs);
  if (pauseMs > 0) return skip('rate_limited', 'asked for a pause', pauseMs);
  const { state, detail } = backend.status();
  if (state === 'down') return skip('down', detail ?? 'is not reachable');
  if (state === 'loading') return skip('loading', detail ?? 'is still loading');
  if (breaker.state === 'open')
    return skip('open', 'has failed repeatedly and is left alone for a while', breaker.waitMs);
  if (breaker.state === 'half-open' && breaker.waitMs > 0)
    return skip('open', 'is being probed by another request', 1000);
  if (countedRunning(member, asked.request) >= placesOf(member))
    return skip('full', 'has as many requests as it may have');
  const busyMs = member.busyUntilMs - nowMs;
  if (busyMs > longestMomentMs) return skip('rate_limited', 'asked for a pause', busyMs);
  if (busyMs > 0) return skip('held', 'takes nothing for a moment', busyMs);
  if (asked.request.hints.lane === 'background' && backend.load?.(offer.model).isCharging === false)
    return skip('held', 'runs on battery, which background requests do not use');
  if (asked.request.hints.lane === 'background' && isBusyServer(member))
    return skip('full', 'answers others, and how many at once is not known');
  return undefined;
}

/** A pause that is waited for here; of a longer one the client is told. */
const longestMomentMs = 2_000;

/**
 * A server on which something runs and of which nobody said how many it answers at once: what may wait would slow down
 * those who do not.
 */
function isBusyServer({ backend, maxInFlight, running }: Member): boolean {
  if (running.size === 0 || backend.tier !== 'local' || backend.load !== undefined) return false;
  return maxInFlight >= unlimited && (backend.status().slots ?? 1) <= running.size;
}

/** As many places as a backend has where the operator says nothing. */
const unlimited = 1000;

/** The model a backend would be asked for, and what it can do. */
export function offerAt(backend: Backend, { model }: Pick<Attempt, 'model'>, request: ChatRequest): ModelOffer {
  const { tier, models, capabilities } = backend;
  const only = model ?? (models.length < 2 ? (models[0] ?? '') : undefined);
  if (only !== undefined) return { model: only, capabilities: backend.capabilitiesOf?.(only) ?? capabilities };
  return offerFor({ tier, models, capabilities, offers: offersOf(backend) }, model, request);
}

/** Each of its models and what it can do. */
export function offersOf(backend: Backend): readonly ModelOffer[] {
  const { models, capabilities } = backend;
  return models.map((model) => ({ model, capabilities: backend.capabilitiesOf?.(model) ?? capabilities }));
}

/** Milliseconds for which the backend asked not to be asked for the model; at most 0: none. */
export function pausedMs({ notBeforeMs }: Member, model: string, nowMs: number): number {
  return Math.max(notBeforeMs.get(undefined) ?? -Infinity, notBeforeMs.get(model) ?? -Infinity) - nowMs;
}

const lacks: Readonly<Record<Lack, [kind: SkipKind, why: string]>> = {
  context_too_small: ['context', 'its context is too small for the prompt'],
  tools_unsupported: ['tools', 'takes no tools'],
  only_tools: ['only_tools', 'answers only requests that offer tools'],
  infill_unsupported: ['infill', 'does not fill in the middle of a text'],
  images_unsupported: ['images', 'takes no images, audio or files of this kind'],
};

/** How fast the member runs the model: as measured, and as it says where little was. */
export function ratesOf({ backend, rates, most }: Member, model: string): Rates {
  const { prefillRate, decodeRate } = backend.status();
  const reported = {
    ...(prefillRate === undefined ? {} : { prefillRate }),
    ...(decodeRate === undefined ? {} : { decodeRate }),
  };
  const believed = backend.label === undefined ? {} : most();
  return (rates.get(model) ?? unmeasured).read(reported, believed);
}

const unmeasured = new RateEstimator();

/** Requests that keep this one waiting there: an interactive one takes the place of one in the background. */
function countedRunning(member: Member, request: ChatRequest): number {
  let count = 0;
  for (const running of member.running) if (!givesWay(member, running, request)) count++;
  return count;
}

/** It would end for this request, and be queued again. */
export function givesWay({ backend }: Member, running: RunningRequest, { hints }: ChatRequest): boolean {
  if (running.isBackground !== true || hints.lane === 'background') return false;
  return running.firstTokenMs === undefined && backend.preempts === true;
}

/** Requests it may be given at once now. */
export function placesOf({ maxInFlight, slowStart }: Member): number {
  return slowStart.left > 0 && !slowStart.isProven ? 1 : maxInFlight;
}
