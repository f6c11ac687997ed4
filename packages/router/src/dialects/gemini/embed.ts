import * as z from 'zod';
import { RequestError } from '../../core/errors.ts';
import { dimensionsField, embeddingRequest, maxInputs, type ReadEmbedding } from '../embedding.ts';
import { requestErrorOf } from '../issues.ts';
import type { ReaderDeps, Received } from '../reading.ts';
import { googleError } from './errors.ts';

const content = z.object({ parts: z.array(z.object({ text: z.string() })).min(1) });

const one = z.object({
  content,
  taskType: z.string().nullish(),
  task_type: z.string().nullish(),
  title: z.string().nullish(),
  outputDimensionality: dimensionsField,
  output_dimensionality: dimensionsField,
});

const batch = z.object({ requests: z.array(one).min(1).max(maxInputs) });

/** Reads `embedContent`, or with `isBatch` `batchEmbedContents`. */
export function readEmbed(
  received: Received,
  path: { readonly model: string; readonly isBatch: boolean },
  { findModel }: Pick<ReaderDeps, 'findModel'>,
): ReadEmbedding {
  const { model, isBatch } = path;
  const parsed = isBatch ? batch.safeParse(received.body.value) : one.safeParse(received.body.value);
  if (!parsed.success) throw requestErrorOf(parsed.error);
  const asked = 'requests' in parsed.data ? parsed.data.requests : [parsed.data];
  const wish = {
    model,
    inputs: asked.map(({ content: { parts } }, at) => textOf(parts, isBatch ? `requests[${at}].content` : 'content')),
    dimensions: same(asked.map((each) => each.outputDimensionality ?? each.output_dimensionality)),
    taskType: same(asked.map((each) => each.taskType ?? each.task_type)),
    title: same(asked.map((each) => each.title)),
    // As Google does, silently.
    truncate: true,
  };
  return {
    request: embeddingRequest(received, wish, { findModel }),
    dialect: 'gemini',
    errorBody: googleError,
    body: ({ vectors }, { promptTokens }, metadata) => {
      const embeddings = vectors.map((vector) => ({ values: Array.from(vector) }));
      const told = { usageMetadata: { promptTokenCount: promptTokens }, lfo_metadata: metadata };
      return isBatch ? { embeddings, ...told } : { embedding: embeddings[0], ...told };
    },
  };
}

function textOf(parts: readonly { readonly text: string }[], param: string): string {
  const text = parts.map((part) => part.text).join('');
  if (text !== '') return text;
  throw new RequestError(`${param}: holds no text.`, { param });
}

/** What all of a batch say alike. */
function same<T>(values: readonly T[]): T | undefined {
  const [first] = values;
  if (values.every((value) => value === first)) return first;
  throw new RequestError('requests: all of a batch must agree on taskType, title and outputDimensionality.', {
    param: 'requests',
  });
}
