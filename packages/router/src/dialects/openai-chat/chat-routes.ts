import type { FastifyInstance } from 'fastify';
import type { RouteCandidate, RouteExplanation } from '../../core/exchange.ts';
import type { ThresholdView } from '../../core/goals.ts';
import { reasons } from '../../core/reason.ts';
import { departureSignal, type Serving } from '../serving.ts';
import { chatReader } from './read-chat.ts';

/** `POST /v1/chat/completions` and, beside it, what would happen to the same body. */
export function addChatRoutes(app: FastifyInstance, serving: Serving): void {
  const read = chatReader({ limits: serving.deps.limits, findModel: serving.findModel });

  app.post('/v1/chat/completions', { onRequest: serving.admit }, (request, reply) =>
    serving.serve(request, reply, read(serving.received(request))),
  );

  app.post('/v1/route', async (request, reply) => {
    const { request: chat } = read(serving.received(request));
    return explanationBody(await serving.deps.explain(chat, departureSignal(reply)));
  });
}

function explanationBody(explanation: RouteExplanation) {
  const [decisive] = explanation.reasons;
  return {
    object: 'route',
    mode: explanation.mode,
    route: explanation.route ?? null,
    routing_reason: decisive ?? null,
    explanation: decisive === undefined ? null : reasons[decisive],
    reasons: explanation.reasons,
    rules: (explanation.rules ?? []).map(({ rule, type, ...vote }) => ({ name: rule, vote: type, ...vote })),
    attempts: explanation.attempts.map(({ isStandIn, ...attempt }) => ({
      ...attempt,
      is_stand_in: isStandIn === true,
    })),
    threshold: explanation.threshold,
    ...(explanation.steering !== undefined && steeringBody(explanation.steering)),
    prompt_tokens: explanation.promptTokens,
    prompt_tokens_from: explanation.promptTokensFrom,
    warm_tokens: explanation.warmTokens ?? 0,
    ...(explanation.limits !== undefined && {
      max_local_tokens: explanation.limits.maxLocalTokens,
      first_token_budget_ms: explanation.limits.firstTokenBudgetMs,
    }),
    candidates: explanation.candidates?.map(candidateBody) ?? [],
    skipped: explanation.skipped,
  };
}

function steeringBody({ from, binding, goals }: ThresholdView) {
  return {
    threshold_from: from,
    binding_goal: binding,
    goals: goals.map((goal) => ({
      ...goal,
      estimate: rounded(goal.estimate),
      threshold: rounded(goal.threshold),
      interval: goal.interval?.map(rounded) ?? null,
    })),
  };
}

function rounded(value: number | null): number | null {
  return value === null ? null : Math.round(value * 1e4) / 1e4;
}

function candidateBody({
  inFlight,
  maxInFlight,
  isFull,
  pausedMs,
  skipped,
  wait,
  predictedMs,
  ...candidate
}: RouteCandidate) {
  return {
    ...candidate,
    in_flight: inFlight,
    ...(maxInFlight !== undefined && { max_in_flight: maxInFlight }),
    is_full: isFull,
    ...(pausedMs !== undefined && { paused_ms: Math.ceil(pausedMs) }),
    ...(skipped !== undefined && { skipped }),
    predicted_ms: predictedMs === undefined ? null : Math.round(predictedMs),
    predicted_wait_ms: wait === undefined ? null : Math.round(wait.totalMs),
    ...(wait !== undefined && {
      predicted_wait: {
        queue_ms: Math.round(wait.queueMs),
        fixed_ms: Math.round(wait.fixedMs),
        prefill_ms: Math.round(wait.prefillMs),
      },
    }),
  };
}
