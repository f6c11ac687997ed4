import type { FastifyInstance } from 'fastify';
import { RequestError } from '../core/errors.ts';
import { isJsonObject } from '../core/json.ts';
import { stored } from './api.ts';
import type { AdminDeps } from './deps.ts';

interface Named {
  Params: { id: string };
}

/** The threshold and the goals: how they stand, and changing them while LFO runs. For those with the admin scope. */
export function addSettings(app: FastifyInstance, { settings, threshold, readBody }: AdminDeps): void {
  app.get('/admin/settings', () => ({ threshold: threshold(), settings: settings.list() }));
  app.patch<Named>('/admin/settings/:id', (request) => {
    const body = readBody(request);
    const value = isJsonObject(body) ? body['value'] : undefined;
    if (value === undefined) throw new RequestError('Send {"value": …}; null takes a goal away.', { param: 'value' });
    return stored(settings.set(request.params.id, value, request.identity.id));
  });
  app.delete<Named>('/admin/settings/:id', ({ params: { id } }) => stored(settings.unset(id)));
}
