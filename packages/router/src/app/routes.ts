import type { FastifyInstance } from 'fastify';
import type { LfoConfig } from '../config/config.ts';
import type { Clock } from '../core/clock.ts';
import type { Readiness } from '../core/exchange.ts';
import { addDialectRoutes, type DialectDeps } from '../dialects/routes.ts';
import { FailedAuthLimiter } from '../keys/failed-auth.ts';
import { checkScope, singleKey } from '../keys/verify-key.ts';
import { buildServer, isNobody, type ServerDeps } from '../server/server.ts';
import { openApiDocument } from './openapi.ts';

/** What the HTTP side of the router is built from. */
export interface HttpDeps
  extends
    Omit<DialectDeps, 'limits'>,
    Pick<ServerDeps, 'sessionAuth' | 'onRefusal'>,
    Partial<Pick<ServerDeps, 'verifyKey'>> {
  readonly config: Pick<LfoConfig, 'server' | 'limits'>;
  readonly clock: Clock;
  readonly readiness: () => Readiness;
  /** Answers come, but not as promptly as they should. */
  readonly isDegraded?: () => boolean;
  /** The metrics in Prometheus' text format; absent: there is no such route. */
  readonly metrics?: () => Promise<string>;
}

/** The HTTP server with every route but the dashboard's, not yet listening. Without `verifyKey` the configured key alone is valid. */
export function createHttp(deps: HttpDeps): FastifyInstance {
  const { config, clock } = deps;
  return buildServer({
    ...deps,
    verifyKey: deps.verifyKey ?? singleKey(config.server.authToken),
    failedAuth: new FailedAuthLimiter(clock, config.limits.failedAuthPerMinute),
    checkScope,
    addRoutes(app) {
      addDialectRoutes(app, { ...deps, limits: config.limits });
      addServiceRoutes(app, deps);
    },
  });
}

/** Health, readiness, metrics and the API's own description. */
function addServiceRoutes(app: FastifyInstance, deps: HttpDeps): void {
  app.get('/health', (_request, reply) => {
    if (!deps.isDraining()) return { status: deps.isDegraded?.() === true ? 'degraded' : 'ok' };
    return reply.status(503).send({ status: 'draining' });
  });
  app.get('/ready', ({ identity }, reply) => {
    const { ready, reasons: why } = deps.readiness();
    const isDraining = deps.isDraining();
    const status = isDraining ? 'draining' : ready ? 'ready' : 'not_ready';
    return reply
      .status(ready && !isDraining ? 200 : 503)
      .send(isNobody(identity) ? { status } : { status, reasons: why });
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
}
