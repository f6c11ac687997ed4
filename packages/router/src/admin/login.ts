import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { LfoError, RequestError } from '../core/errors.ts';
import type { AdminDeps } from './deps.ts';

const loginBody = z.object({ key: z.string().min(1).max(1_000) });

/** Trades a key for a session, once, so that the key is neither kept by the browser nor sent again. */
export function addLogin(app: FastifyInstance, { sessions, verifyKey, failedLogins, readBody }: AdminDeps): void {
  app.post('/dashboard/login', async (request, reply) => {
    const { data } = loginBody.safeParse(readBody(request));
    if (data === undefined) throw new RequestError('Send {"key": "…"}.', { param: 'key' });
    const identity = verifyKey(data.key);
    if (identity === undefined) throw wrongKey(failedLogins.fail(request.ip));
    if (!identity.scopes.includes('admin')) {
      throw new LfoError('This key may not open the dashboard: use one with the admin scope.', {
        code: 'scope_missing',
        status: 403,
      });
    }
    return reply
      .status(204)
      .header('set-cookie', await sessions.begin(data.key, request.headers, request.protocol === 'https'))
      .send();
  });

  app.post('/dashboard/logout', async (request, reply) =>
    reply
      .status(204)
      .header('set-cookie', await sessions.end(request.headers, request.protocol === 'https'))
      .send(),
  );

  app.get('/dashboard/api/session', ({ headers }) => ({
    csrfToken: sessions.csrfTokenOf(headers) ?? null,
    needsKey: verifyKey(undefined) === undefined,
  }));
}

function wrongKey(waitMs: number | undefined): LfoError {
  if (waitMs === undefined)
    return new LfoError('This key is not valid here.', { code: 'invalid_api_key', status: 401 });
  return new LfoError('Too many wrong keys from this address: wait a moment.', {
    code: 'too_many_failed_keys',
    status: 429,
    retryAfterMs: waitMs,
  });
}
