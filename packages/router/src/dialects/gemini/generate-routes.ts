import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { LfoError, RequestError } from '../../core/errors.ts';
import { isJsonObject } from '../../core/json.ts';
import type { Received } from '../reading.ts';
import type { Serving } from '../serving.ts';
import { readEmbed } from './embed.ts';
import { generateReader } from './read.ts';
import { listedModel, modelPage } from './models.ts';
import { verbOf, verbs } from './verb.ts';

/** Google's routes, under `/v1beta` and, for SDKs that ask there, under `/v1`. */
export function addGenerateRoutes(app: FastifyInstance, serving: Serving): void {
  const read = generateReader(serving.reading);

  app.get('/v1beta/models', (request) => modelPage(serving.modelsOf(request), queryOf(request)));
  app.get<{ Params: { '*': string } }>('/v1beta/models/*', (request) => {
    const { model } = serving.reading.findModel(request.params['*'], request.identity);
    return listedModel(model);
  });
  for (const version of ['/v1beta', '/v1']) {
    app.post<{ Params: { '*': string } }>(`${version}/models/*`, { onRequest: serving.admit }, (request, reply) =>
      run(request, reply, request.params['*']),
    );
  }

  function run(request: FastifyRequest, reply: FastifyReply, path: string): unknown {
    const { model, verb } = verbOf(path) ?? { model: path, verb: undefined };
    const received = serving.received(request);
    switch (verb) {
      case 'generateContent':
        return serving.serve(request, reply, read(received, { model, isStream: false, isSse: false }));
      case 'streamGenerateContent': {
        const isSse = queryOf(request)['alt'] === 'sse';
        return serving.serve(request, reply, read(received, { model, isStream: true, isSse }));
      }
      case 'countTokens':
        return serving
          .countTokens(read(countBody(received), { model, isStream: false, isSse: false }), reply)
          .then((totalTokens) => ({ totalTokens }));
      case 'embedContent':
      case 'batchEmbedContents':
        return serving.embed(request, reply, readEmbed(received, { model, isBatch: verb !== 'embedContent' }, serving));
      default:
        throw new LfoError(`There is no such method on a model here: use one of ${verbs.join(', ')}.`, {
          code: 'not_found',
          status: 404,
        });
    }
  }
}

function queryOf({ query }: FastifyRequest): Readonly<Record<string, unknown>> {
  return isJsonObject(query) ? query : {};
}

/** `countTokens` takes the contents, or the whole request as a member. */
function countBody(received: Received): Received {
  const { value } = received.body;
  const inner = isJsonObject(value)
    ? (value['generateContentRequest'] ?? value['generate_content_request'])
    : undefined;
  if (inner === undefined || inner === null) return received;
  if (!isJsonObject(inner)) {
    throw new RequestError('generateContentRequest: expected an object.', { param: 'generateContentRequest' });
  }
  const { bytes, arrivedMs } = received.body;
  return { ...received, body: { value: inner, text: '', bytes, arrivedMs } };
}
