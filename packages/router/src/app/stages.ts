import type { Cancellation } from '../core/abort.ts';
import type { EjectionReason } from '../backends/breaker.ts';
import { Pool } from '../backends/pool.ts';
import type { RetryBudget } from '../pipeline/retry.ts';
import type { Backend, BackendPool } from '../core/backend.ts';
import type { LfoConfig } from '../config/config.ts';
import type { RouteExplanation } from '../core/exchange.ts';
import type { ChatRequest } from '../core/request.ts';
import type { AppOptions } from './running-app.ts';
import type { Learning } from './learning.ts';
import type { TierMember } from './local-tier.ts';
import { type HedgePolicy, promptSizeOf, type Stages } from '../pipeline/attempt.ts';
import { expectedCosts } from '../routing/answer-time.ts';
import { explainRoute } from '../routing/explain.ts';
import { defaultPolicies } from '../routing/policies.ts';
import { createRoute, type ExpectedOf } from '../routing/route.ts';
import { candidatesOf } from '../routing/suitability.ts';
import { costsInForce } from '../records/costs.ts';
import type { CostOf } from '../pipeline/attempt-notes.ts';
import { type CompiledRule, compileRules } from '../routing/rules.ts';

/** The backends of one tier behind their breakers and queue. */
export function poolOf(
  members: readonly TierMember[],
  { config, clock, logger }: AppOptions,
  onEjected: (backend: string, why: EjectionReason) => void = () => undefined,
): Pool {
  const pool = new Pool({
    clock,
    breaker: config.current().breaker,
    get queue() {
      return config.current().limits.queue;
    },
    get queueWaitMs() {
      return config.current().limits.queueWaitMs;
    },
    get modelOrder() {
      return config.current().fleet.models;
    },
    get firstTokenBudgetMs() {
      return config.current().routing.firstTokenBudgetMs;
    },
    random: Math.random,
    onEjected: (backend, why) => {
      logger.warn({ backend, why }, 'device ejected');
      onEjected(backend, why);
    },
  });
  for (const { backend, concurrency } of members) pool.add(backend, concurrency);
  return pool;
}

/** The stages over a pool; numbers are read for each request, so that a reload takes effect. */
export function stagesOver(
  pool: BackendPool,
  options: AppOptions,
  retries: RetryBudget,
  counter: (id: string) => Backend | undefined,
  learning: Learning,
  random: () => number,
  hedging?: HedgePolicy,
): Stages {
  const { clock, config } = options;
  const rules = compiledRules(() => config.current().routing.rules);
  return {
    clock,
    pool,
    retries,
    random,
    judge: learning.judge,
    ...(hedging !== undefined && { hedging }),
    compared: learning.compared,
    route: createRoute({
      clock,
      policies: defaultPolicies,
      rules,
      limits: learning.limits,
      thresholdFor: learning.thresholdFor,
      loopTier: learning.loopTier,
      wantsExpected: () => config.current().routing.predictGain,
      expected: expectedWorth(() => config.current().routing.usdPerSecond, learning, costsInForce(config).spent),
      wantsLocalTime: () => rules().length > 0,
      countTokens: async (id, request, signal) => await counter(id)?.countTokens?.(request, signal),
    }),
    get gate() {
      return config.current().gate;
    },
    get budgets() {
      return config.current().budgets;
    },
    get limits() {
      return config.current().limits;
    },
  };
}

/** What a local attempt at a request is expected to be worth, where the request, both waits and the price say something. */
function expectedWorth(usdPerSecond: () => number, { expectedRight }: Learning, costOf: CostOf): ExpectedOf {
  return (request, fleet, size) => {
    const [candidate] = candidatesOf(fleet, 'local', request);
    const costs = expectedCosts(request, size, fleet, costOf);
    if (candidate === undefined || costs === undefined) return undefined;
    const right = expectedRight(request, candidate.offer.model);
    return right === undefined ? undefined : { right, ...costs, usdPerSecond: usdPerSecond() };
  };
}

/** The operator's rules as of now, compiled once for each configuration. */
function compiledRules(current: () => LfoConfig['routing']['rules']): () => readonly CompiledRule[] {
  let source: LfoConfig['routing']['rules'] | undefined;
  let compiled: readonly CompiledRule[] = [];
  return () => {
    const rules = current();
    if (rules !== source) {
      source = rules;
      compiled = compileRules(rules);
    }
    return compiled;
  };
}

/** What would happen to a request, without running it. */
export async function explain(request: ChatRequest, signal: Cancellation, stages: Stages): Promise<RouteExplanation> {
  const fleet = stages.pool.view();
  const { features, decision } = await stages.route(request, fleet, signal);
  const local = decision.attempts.find(({ tier }) => tier === 'local');
  const predicted =
    local === undefined
      ? new Map()
      : stages.pool.predict(local, { request, signal, exclude: new Set(), ...promptSizeOf(features) });
  return explainRoute(features, fleet, decision, predicted);
}
