import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

import { ClientGoneError, type LfoError, shuttingDown } from '../core/errors.ts';
import type { ChatExchange, ListedModel, RouteExplanation } from '../core/exchange.ts';
import { reasons } from '../core/reason.ts';
import type { ChatRequest } from '../core/request.ts';
import { receivedBody } from './body-parser.ts';
import { openApiDocument } from './openapi.ts';
import type { QuotaTicket } from './quota.ts';
import { setRaw } from './raw-headers.ts';
import { chatReader, findModel, type ReadChat } from './read-chat.ts';
import type { ServerDeps } from './server.ts';

/** Every route there is. Guarding and errors are the server's, see `server.ts`. */
export function addRoutes(app: FastifyInstance, deps: ServerDeps): void {
  const read = chatReader(deps.config.limits, deps.models);
  const created = Math.floor(deps.clock.wallMs() / 1000);

  /** Asked before the body is read, and again after it: others have come in meanwhile. */
  const refusal = (): LfoError | undefined => (deps.isDraining() ? shuttingDown() : deps.refusal?.());

  app.post('/v1/chat/completions', { onRequest: (_request, _reply, done) => done(refusal()) }, (request, reply) => {
    const refused = refusal();
    if (refused !== undefined) throw refused;
    const { request: chat, warnings } = readChat(request);
    const ticket = admitted(request, reply, chat);
    const signal = departureSignal(reply);
    const exchange: ChatExchange = {
      request: chat,
      response: reply.raw,
      signal,
      receivedMs: request.receivedMs,
      warnings,
    };
    reply.hijack();
    deps
      .chat(exchange)
      .catch((error: unknown) => abandon(exchange, error))
      .then((spent) => ticket?.settle(spent ?? { tokens: 0, usd: 0 }))
      .catch((error: unknown) => abandon(exchange, error));
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

  app.get('/health', (_request, reply) => {
    if (!deps.isDraining()) return { status: deps.isDegraded?.() === true ? 'degraded' : 'ok' };
    return reply.status(503).send({ status: 'draining' });
  });
  app.get('/ready', (_request, reply) => {
    const { ready, reasons: why } = deps.readiness();
    const isDraining = deps.isDraining();
    const status = isDraining ? 'draining' : ready ? 'ready' : 'not_ready';
    return reply.status(ready && !isDraining ? 200 : 503).send({ status, reasons: why });
  });
  const { metrics } = deps;
  if (metrics !== undefined) {
    app.get('/metrics', async (_request, reply) => {
      reply.header('content-type', 'text/plain; version=0.0.4; charset=utf-8').header('cache-control', 'no-store');
      return metrics();
    });
  }
  // Made when asked for: it takes longer than starting the server.
  app.get('/openapi.json', () => openApiDocument(deps.config.limits));

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
    const ticket = quota.admit(identity, { promptTokens, ...(maxTokens === undefined ? {} : { maxTokens }) });
    setRaw(reply, quota.headers(identity));
    return ticket;
  }

  /** The pipeline itself failed, which it must not: nothing more can be said than that. */
  function abandon({ request, response }: ChatExchange, error: unknown): void {
    deps.log.error({ requestId: request.id, error: error instanceof Error ? error.name : typeof error }, 'chat failed');
    response.destroy();
  }
}

/** Of a body, envelope included: enough to reserve by; what is paid is the backend's count. */
const bytesPerToken = 4;

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
    attempts: explanation.attempts,
    threshold: explanation.threshold,
    prompt_tokens: explanation.promptTokens,
    prompt_tokens_from: explanation.promptTokensFrom,
    skipped: explanation.skipped,
  };
}
