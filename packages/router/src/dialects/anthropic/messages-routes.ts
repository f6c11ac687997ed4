import type { FastifyInstance } from 'fastify';
import type { Serving } from '../serving.ts';
import { messagesReader } from './read.ts';

/** `POST /v1/messages` and `/v1/messages/count_tokens`, with any query. */
export function addMessagesRoutes(app: FastifyInstance, serving: Serving): void {
  const reader = messagesReader(serving.reading);

  app.post('/v1/messages', { onRequest: serving.admit }, (request, reply) =>
    serving.serve(request, reply, reader.read(serving.received(request))),
  );
  app.post('/v1/messages/count_tokens', async (request, reply) => ({
    input_tokens: await serving.countTokens(reader.readCount(serving.received(request)), reply),
  }));
}
