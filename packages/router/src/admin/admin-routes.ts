import type { FastifyInstance } from 'fastify';
import { LfoError } from '../core/errors.ts';
import { randomToken } from '../core/id.ts';
import { addApi } from './api.ts';
import type { AdminDeps } from './deps.ts';
import { acceptedEncoding, compress } from './compression.ts';
import { addDevices } from './devices.ts';
import { addFeedback } from './feedback.ts';
import { addLiveStream } from './live-stream.ts';
import { addLogin } from './login.ts';
import { addOperators } from './operators.ts';
import { addSettings } from './settings.ts';
import { addRouters } from './routers.ts';
import { addPages, securityHeaders } from './pages.ts';

/** A shorter answer fits a packet or two as it is. */
const compressedFromChars = 2_000;

/** Adds the dashboard, what it asks for, and feedback. Call before the server listens; guarding is the server's. */
export function addAdminRoutes(app: FastifyInstance, deps: AdminDeps): void {
  addFeedback(app, deps);
  void app.register(async (scope) => {
    scope.addHook('onRequest', (request, reply, done) => {
      const needsAdmin = !deps.sessions.isOpen(request.routeOptions.url);
      if (needsAdmin && !request.identity.scopes.includes('admin')) throw adminOnly();
      if (needsAdmin) reply.header('cache-control', 'no-store');
      done();
    });
    // When answers leave, so that refusals of the server's guard are fenced in too.
    scope.addHook('onSend', async (request, reply, payload) => {
      void reply.headers(securityHeaders);
      if (request.method !== 'GET' || typeof payload !== 'string' || payload.length < compressedFromChars)
        return payload;
      const encoding = acceptedEncoding(request.headers['accept-encoding']);
      if (encoding === undefined) return payload;
      void reply.header('content-encoding', encoding).removeHeader('content-length');
      return await compress(payload, encoding);
    });
    addPages(scope, deps);
    addLogin(scope, deps);
    addApi(scope, deps);
    addOperators(scope, deps);
    addDevices(scope, deps);
    addSettings(scope, deps);
    addRouters(scope, deps);
    addLiveStream(scope, deps, randomToken(6));
  });
}

function adminOnly(): LfoError {
  return new LfoError('This key may not use the dashboard: use one with the admin scope.', {
    code: 'scope_missing',
    status: 403,
  });
}
