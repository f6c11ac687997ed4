import type { FastifyInstance } from 'fastify';
import type { LfoConfig } from '../config/config.ts';
import type { Clock } from '../core/clock.ts';
import { LfoError } from '../core/errors.ts';
import type { Readiness } from '../core/exchange.ts';
import { dialectErrorBody } from '../dialects/errors.ts';
import { whyNotServed } from '../dialects/not-served.ts';
import { addDialectRoutes } from '../dialects/routes.ts';
import type { DialectDeps } from '../dialects/serving.ts';
import { FailedAuthLimiter } from '../keys/failed-auth.ts';
import { checkScope, singleKey } from '../keys/verify-key.ts';
import { buildServer, isNobody, type ServerDeps } from '../server/server.ts';
import { openApiDocument } from './openapi.ts';

/** What the HTTP side of the router is built from. */
export interface HttpDeps
  extends
    Omit<DialectDeps, 'limits' | 'ollamaVersion'>,
    Pick<ServerDeps, 'sessionAuth' | 'onRefusal' | 'router'>,
    Partial<Pick<ServerDeps, 'verifyKey'>> {
  readonly config: Pick<LfoConfig, 'server' | 'limits'>;
  readonly clock: Clock;
  readonly readiness: () => Readiness;
  /** The process is ending. */
  readonly isDraining: () => boolean;
  /** Answers come, but not as promptly as they should. */
  readonly isDegraded?: () => boolean;
  /** The device host as a file, while somebody may fetch it; absent: there is none. */
  readonly devicePackage?: { readonly isOffered: () => boolean; readonly read: () => Promise<Buffer> };
  /** The metrics in Prometheus' text format; absent: there is no such route. */
  readonly metrics?: () => string;
}

/** The HTTP server with every route but the dashboard's, not yet listening. Without `verifyKey` the configured key alone is valid. */
export function createHttp(deps: HttpDeps): FastifyInstance {
  const { config, clock } = deps;
  return buildServer({
    ...deps,
    verifyKey: deps.verifyKey ?? singleKey(config.server.authToken),
    failedAuth: new FailedAuthLimiter(clock, config.limits.failedAuthPerMinute),
    checkScope,
    ...(deps.devicePackage && { openRoute: { path: devicePackagePath, isOpen: deps.devicePackage.isOffered } }),
    errorBody: dialectErrorBody,
    whyNotServed,
    addRoutes(app) {
      addDialectRoutes(app, { ...deps, limits: config.limits, ollamaVersion: config.server.ollamaVersion });
      addServiceRoutes(app, deps);
    },
  });
}

/** Where a device that is about to be paired fetches its software. */
const devicePackagePath = '/device.tgz';

/** Health, readiness, metrics, the API's own description, and a word for those who look at the bare address. */
function addServiceRoutes(app: FastifyInstance, deps: HttpDeps): void {
  app.get('/', ({ headers }, reply) => {
    if (headers.accept?.includes('text/html') === true) return reply.redirect('/dashboard', 302);
    // The words by which clients of Ollama know that somebody is there.
    return reply.type('text/plain; charset=utf-8').send('Ollama is running');
  });
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
  app.get(devicePackagePath, async (_request, reply) => {
    if (deps.devicePackage?.isOffered() !== true) {
      throw new LfoError(
        'The device host is offered here only while a pairing is open and the router listens beyond this machine.',
        { code: 'not_offered', status: 404 },
      );
    }
    const file = await deps.devicePackage.read();
    return reply.header('cache-control', 'no-store').type('application/gzip').send(file);
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
