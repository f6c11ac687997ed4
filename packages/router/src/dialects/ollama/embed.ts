import * as z from 'zod';
import { dimensionsField, embeddingRequest, maxInputs, type ReadEmbedding } from '../embedding.ts';
import { requestErrorOf } from '../issues.ts';
import type { ReaderDeps, Received } from '../reading.ts';
import { ollamaError } from './errors.ts';
import { withoutLatest } from './read.ts';

const name = z.string().min(1, 'is required');
const text = z.string().min(1, 'must not be empty');

const embedBody = z.object({
  model: name,
  // One that is empty asks for the model to be loaded.
  input: z.union([z.string(), z.array(text).max(maxInputs)], 'must be a text or texts, none empty'),
  truncate: z.boolean().nullish(),
  dimensions: dimensionsField,
});

const oldBody = z.object({ model: name, prompt: z.string() });

/** Reads `/api/embed`. */
export function readOllamaEmbed(received: Received, { findModel }: Pick<ReaderDeps, 'findModel'>): ReadEmbedding {
  const parsed = embedBody.safeParse(received.body.value);
  if (!parsed.success) throw requestErrorOf(parsed.error);
  const { model, input, truncate, dimensions } = parsed.data;
  const inputs = typeof input === 'string' ? [input].filter((one) => one !== '') : input;
  const wish = { model: withoutLatest(model), inputs, dimensions, truncate: truncate !== false };
  return {
    request: embeddingRequest(received, wish, { findModel }),
    dialect: 'ollama',
    errorBody: ollamaError,
    body: ({ vectors }, { promptTokens }, metadata, elapsedMs) => ({
      model,
      embeddings: vectors.map((vector) => Array.from(vector)),
      total_duration: Math.round(elapsedMs * 1e6),
      load_duration: 0,
      prompt_eval_count: promptTokens,
      lfo_metadata: metadata,
    }),
  };
}

/** Reads `/api/embeddings`, the older form, of one text. */
export function readOllamaEmbeddings(received: Received, { findModel }: Pick<ReaderDeps, 'findModel'>): ReadEmbedding {
  const parsed = oldBody.safeParse(received.body.value);
  if (!parsed.success) throw requestErrorOf(parsed.error);
  const { model, prompt } = parsed.data;
  const wish = { model: withoutLatest(model), inputs: prompt === '' ? [] : [prompt], truncate: true };
  return {
    request: embeddingRequest(received, wish, { findModel }),
    dialect: 'ollama',
    errorBody: ollamaError,
    body: ({ vectors: [vector] }, _usage, metadata) => ({
      embedding: Array.from(vector ?? []),
      lfo_metadata: metadata,
    }),
  };
}
