import type { FastifyInstance } from 'fastify';
import { RequestError } from '../../core/errors.ts';
import type { RouteCandidate, RouteExplanation } from '../../core/exchange.ts';
import { fourDigits } from '../../core/four-digits.ts';
import type { ThresholdView } from '../../core/goals.ts';
import { isJsonObject } from '../../core/json.ts';
import { reasons } from '../../core/reason.ts';
import type { ExpectedWorth } from '../../core/routing.ts';
import type { ServedReply, ServedRequest } from '../../server/early-route.ts';
import { isGiven } from '../given.ts';
import type { Received } from '../reading.ts';
import { departureSignal, type Serving } from '../serving.ts';
import { ChatFormat } from './chat-format.ts';
import { chatReader, type ReadChat } from './read-chat.ts';

/** Reads a body that holds `input`; `isEmpty` where nobody said anything. */
export type ReadInput = (received: Received) => Omit<ReadChat, 'format'> & { readonly isEmpty: boolean };

/**
 * `POST /v1/chat/completions` and, beside it, what would happen to the same body. Some agents send a body of the Responses
 * API here and want a chat completion back: `readInput` reads those.
 */
export function addChatRoutes(app: FastifyInstance, serving: Serving, readInput: ReadInput): void {
  const readChat = chatReader(serving.reading);
  const read = (received: Received): ReadChat => {
    const { value } = received.body;
    if (!isJsonObject(value) || !isGiven(value['input']) || isGiven(value['messages'])) return readChat(received);
    const { request, warnings, address, isEmpty } = readInput(received);
    if (isEmpty) throw new RequestError('input: holds no words of a user.', { param: 'input' });
    return { request, warnings, format: new ChatFormat(request), address };
  };

  const path = '/v1/chat/completions';
  const serve = (request: ServedRequest, reply: ServedReply): void | Promise<void> =>
    serving.serve(request, reply, read(serving.received(request)));
  app.early.add({ path, isAdmitting: () => serving.isAdmitting, serve });
  app.post(path, { onRequest: serving.admit, preParsing: app.early.body }, serve);

  app.post('/v1/route', async (request, reply) => {
    const { request: chat, address } = read(serving.received(request));
    const { askedModel, nameRule } = address;
    const explanation = await serving.deps.explain(chat, departureSignal(reply));
    return { ...explanationBody(explanation), requested_model: askedModel, name_rule: nameRule ?? null };
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
    ...(explanation.expected !== undefined && { expected: expectedBody(explanation.expected) }),
    ...(explanation.limits !== undefined && {
      max_local_tokens: explanation.limits.maxLocalTokens,
      first_token_budget_ms: explanation.limits.firstTokenBudgetMs,
    }),
    candidates: explanation.candidates?.map(candidateBody) ?? [],
    skipped: explanation.skipped,
  };
}

function expectedBody({ right, localMs, cloudMs, cloudUsd, usdPerSecond }: ExpectedWorth) {
  return {
    right: rounded(right),
    local_ms: Math.round(localMs),
    cloud_ms: Math.round(cloudMs),
    cloud_usd: cloudUsd,
    usd_per_second: usdPerSecond,
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
  return value === null ? null : fourDigits(value);
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
