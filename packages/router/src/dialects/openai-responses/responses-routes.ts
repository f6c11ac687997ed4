import type { FastifyInstance } from 'fastify';
import { LfoError } from '../../core/errors.ts';
import type { Serving } from '../serving.ts';
import { responsesReader } from './read.ts';

/** `POST /v1/responses` and what belongs to it. Nothing is stored, so nothing can be asked for later. */
export function addResponsesRoutes(app: FastifyInstance, serving: Serving): void {
  const { clock } = serving.deps;
  const read = responsesReader(serving.reading);

  app.post('/v1/responses', { onRequest: serving.admit }, (request, reply) => {
    const asked = read(serving.received(request));
    if (!asked.isEmpty) return serving.serve(request, reply, asked);
    const createdS = Math.floor(clock.wallMs() / 1000);
    if (!asked.request.stream) return reply.send(asked.emptyBody(createdS));
    return reply
      .header('content-type', asked.format.streamType)
      .header('cache-control', 'no-cache')
      .send(asked.emptyStream(createdS));
  });
  app.post('/v1/responses/input_tokens', async (request, reply) => {
    const asked = read(serving.received(request));
    return {
      object: 'response.input_tokens',
      input_tokens: asked.isEmpty ? 0 : await serving.countTokens(asked, reply),
    };
  });
  // Some agents try a WebSocket first and fall back to HTTP at this status.
  app.get('/v1/responses', (_request, reply) => {
    void reply.header('connection', 'close');
    throw new LfoError('Responses are not served over WebSocket here: use POST /v1/responses.', {
      code: 'upgrade_not_supported',
      status: 426,
    });
  });
  for (const method of ['GET', 'DELETE', 'POST'] as const) {
    app.route({
      method,
      url: '/v1/responses/*',
      handler: () => {
        throw new LfoError('Responses are not stored here: send the whole conversation as input.', {
          code: 'not_stored',
          status: 404,
        });
      },
    });
  }
}
