import type { ServerResponse } from 'node:http';

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

import type { LimitsConfig } from '../config/config.ts';
import type { Clock } from '../core/clock.ts';
import { ClientGoneError, type LfoError, shuttingDown } from '../core/errors.ts';
import type { ChatExchange, ListedModel, RouteCandidate, RouteExplanation } from '../core/exchange.ts';
import type { KeyQuota, QuotaTicket, Spent } from '../core/identity.ts';
import { errorFields, type Logger } from '../core/logger.ts';
import { reasons } from '../core/reason.ts';
import type { ChatRequest } from '../core/request.ts';
import { receivedBody } from '../server/body-parser.ts';
import { setRaw } from '../server/raw-headers.ts';
import { chatReader, findModel, type ReadChat } from './openai-chat/read-chat.ts';
import { openWriter, type ResponsePace } from './openai-chat/respond.ts';

/** What the clients' wires need of the rest. */
export interface DialectDeps {
  readonly limits: LimitsConfig;
  readonly clock: Clock;
  readonly log: Logger;
  /** The operator's numbers of the moment for a response. */
  readonly pace: () => ResponsePace;
  /** Answers one exchange completely; resolves when its response has ended, with what it used where that is known. */
  readonly chat: (exchange: ChatExchange) => Promise<Spent | void>;
  /** Holds keys to their limits; absent: nothing is counted. */
  readonly quota?: KeyQuota;
  /** Aliases and every model id of every backend; ids are unique. Cheap: called for every request. */
  readonly models: () => readonly ListedModel[];
  readonly explain: (request: ChatRequest, signal: AbortSignal) => Promise<RouteExplanation>;
  /** The process is ending: no further chats are begun. */
  readonly isDraining: () => boolean;
  /** Why no further chat is admitted; absent: every one is. Cheap: called twice for each. */
  readonly admissionError?: () => LfoError | undefined;
}

/** Adds every route of the clients' wires. Guards and errors are the server's, see `server/server.ts`. */
export function addDialectRoutes(app: FastifyInstance, deps: DialectDeps): void {
  const read = chatReader(deps.limits, deps.models);
  const created = Math.floor(deps.clock.wallMs() / 1000);

  /** Asked before the body is read, and again after it: others have come in meanwhile. */
  const refusal = (): LfoError | undefined => (deps.isDraining() ? shuttingDown() : deps.admissionError?.());

  app.post('/v1/chat/completions', { onRequest: (_request, _reply, done) => done(refusal()) }, (request, reply) => {
    const refused = refusal();
    if (refused !== undefined) throw refused;
    const { request: chat, warnings } = readChat(request);
    const ticket = admitted(request, reply, chat);
    const keptLocal = ticket?.keptLocal;
    const runs: ChatRequest = keptLocal === undefined ? chat : { ...chat, hints: { ...chat.hints, mode: 'local' } };
    if (keptLocal !== undefined) warnings.set('limits', keptLocal);
    const signal = departureSignal(reply);
    const response = reply.raw;
    const exchange: ChatExchange = {
      request: runs,
      signal,
      receivedMs: request.receivedMs,
      bodyMs: receivedBody(request).arrivedMs,
      hasHead: () => response.headersSent,
      open(trace) {
        for (const [param, why] of warnings) trace.warnings.set(param, why);
        return openWriter({ request: runs, response, signal, clock: deps.clock, pace: deps.pace() }, trace);
      },
    };
    const abandoned = (error: unknown): void => abandon(chat.id, response, error);
    reply.hijack();
    deps
      .chat(exchange)
      .catch(abandoned)
      .then((spent) => ticket?.settle(spent ?? { tokens: 0, usd: 0 }))
      .catch(abandoned);
  });

  app.post('/v1/route', async (request, reply) => {
    const { request: chat } = readChat(request);
    return explanationBody(await deps.explain(chat, departureSignal(reply)));
  });

  app.get('/v1/models', ({ identity }) => ({
    object: 'list',
    data: deps
      .models()
      .filter((model) => isAllowed(model, identity.models))
      .map((model) => modelBody(model, created)),
  }));
  // Ids of real models have slashes.
  app.get<{ Params: { '*': string } }>('/v1/models/*', ({ params, identity }) =>
    modelBody(findModel(deps.models(), params['*'], identity), created),
  );

  function readChat(request: FastifyRequest): ReadChat {
    const { id, headers, identity } = request;
    return read({ id, headers, identity, body: receivedBody(request) });
  }

  /** Takes the request's place among its key's, and says how many are left. */
  function admitted({ identity }: FastifyRequest, reply: FastifyReply, chat: ChatRequest): QuotaTicket | undefined {
    const { quota } = deps;
    if (quota === undefined || identity.limits === undefined) return undefined;
    const { maxTokens } = chat.sampling;
    const promptTokens = Math.ceil(chat.bodyBytes / bytesPerToken);
    const { mode } = chat.hints;
    const ticket = quota.admit(identity, {
      promptTokens,
      // What has to be fetched from elsewhere cannot stay local.
      mode: mode === 'auto' && hasRemoteImages(chat) ? 'cloud' : mode,
      model: chat.model,
      ...(maxTokens === undefined ? {} : { maxTokens }),
    });
    setRaw(reply, quota.headers(identity));
    return ticket;
  }

  /** The pipeline itself failed, which it must not: nothing more can be said than that. */
  function abandon(requestId: string, response: ServerResponse, error: unknown): void {
    deps.log.error({ requestId, ...errorFields(error) }, 'chat failed');
    response.destroy();
  }
}

/** Of a body, envelope included: enough to reserve by; what is paid is the backend's count. */
const bytesPerToken = 4;

function hasRemoteImages({ messages }: ChatRequest): boolean {
  return messages.some(({ content }) => content.some((part) => part.type === 'image' && !part.url.startsWith('data:')));
}

/** Aborts when the client leaves before its answer is finished; nothing else in Node says so after the body is read. */
function departureSignal({ raw }: FastifyReply): AbortSignal {
  const controller = new AbortController();
  raw.once('close', () => {
    if (!raw.writableFinished) controller.abort(new ClientGoneError());
  });
  return controller.signal;
}

function isAllowed(model: ListedModel, allowed: readonly string[] | undefined): boolean {
  return allowed === undefined || allowed.includes(model.id);
}

function modelBody({ id, ownedBy }: ListedModel, created: number) {
  return { id, object: 'model', created, owned_by: ownedBy };
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
    attempts: explanation.attempts.map(({ isStandIn, ...attempt }) => ({
      ...attempt,
      is_stand_in: isStandIn === true,
    })),
    threshold: explanation.threshold,
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

function candidateBody({ inFlight, maxInFlight, isFull, pausedMs, skipped, wait, ...candidate }: RouteCandidate) {
  return {
    ...candidate,
    in_flight: inFlight,
    ...(maxInFlight !== undefined && { max_in_flight: maxInFlight }),
    is_full: isFull,
    ...(pausedMs !== undefined && { paused_ms: Math.ceil(pausedMs) }),
    ...(skipped !== undefined && { skipped }),
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
