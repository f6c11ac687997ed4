import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';

import type { Clock } from '../core/clock.ts';
import type { LfoConfig } from '../core/config/config.ts';
import type { ChatExchange, ListedModel, Readiness, RouteExplanation } from '../core/exchange.ts';
import type { ChatRequest } from '../core/request.ts';

/** What the HTTP server needs of the rest. */
export interface ServerDeps {
  readonly config: LfoConfig;
  readonly clock: Clock;
  readonly log: Logger;
  /** Answers one exchange completely; resolves when its response has ended. */
  chat(exchange: ChatExchange): Promise<void>;
  /** Aliases and every model id of every backend; ids are unique. */
  models(): readonly ListedModel[];
  explain(request: ChatRequest, signal: AbortSignal): Promise<RouteExplanation>;
  readiness(): Readiness;
}

/** The HTTP server with all its routes, not yet listening. */
export function buildServer(_deps: ServerDeps): FastifyInstance {
  throw new Error('not written yet');
}
