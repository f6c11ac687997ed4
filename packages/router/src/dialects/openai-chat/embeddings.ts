import * as z from 'zod';
import type { FastifyInstance } from 'fastify';
import type { EmbeddingInput } from '../../core/embedding.ts';
import { errorBody } from '../../server/error-body.ts';
import { base64Vector, dimensionsField, embeddingRequest, maxInputs, type ReadEmbedding } from '../embedding.ts';
import { requestErrorOf } from '../issues.ts';
import type { Received } from '../reading.ts';
import type { Serving } from '../serving.ts';

const text = z.string().min(1, 'must not be empty');
const tokenIds = z.array(z.int().nonnegative()).min(1, 'must not be empty').max(100_000);

/** The documented request. */
export const embeddingBodySchema = z.object({
  model: z.string().nullish(),
  input: z.union(
    [
      text,
      z.array(text).min(1, 'must not be empty').max(maxInputs),
      tokenIds,
      z.array(tokenIds).min(1, 'must not be empty').max(maxInputs),
    ],
    'must be a text, up to 2048 texts, token ids, or lists of them, none empty',
  ),
  encoding_format: z.enum(['float', 'base64']).nullish(),
  dimensions: dimensionsField,
  user: z.string().nullish(),
});

/** `POST /v1/embeddings`. */
export function addEmbeddingRoutes(app: FastifyInstance, serving: Serving): void {
  app.post('/v1/embeddings', { onRequest: serving.admit }, (request, reply) =>
    serving.embed(request, reply, read(serving.received(request), serving)),
  );
}

function read(received: Received, { findModel }: Serving): ReadEmbedding {
  const parsed = embeddingBodySchema.safeParse(received.body.value);
  if (!parsed.success) throw requestErrorOf(parsed.error);
  const { model, input, encoding_format: format, dimensions } = parsed.data;
  const request = embeddingRequest(received, { model, inputs: inputsOf(input), dimensions }, { findModel });
  return {
    request,
    dialect: 'openai-embeddings',
    errorBody,
    body: ({ vectors }, { promptTokens }, metadata) => ({
      object: 'list',
      data: vectors.map((vector, index) => ({
        object: 'embedding',
        index,
        embedding: format === 'base64' ? base64Vector(vector) : Array.from(vector),
      })),
      model: request.askedModel,
      usage: { prompt_tokens: promptTokens, total_tokens: promptTokens },
      lfo_metadata: metadata,
    }),
  };
}

function inputsOf(input: z.infer<typeof embeddingBodySchema>['input']): readonly EmbeddingInput[] {
  if (typeof input === 'string') return [input];
  return isTokenIds(input) ? [input] : input;
}

function isTokenIds(input: readonly (string | number | number[])[]): input is number[] {
  return typeof input[0] === 'number';
}
