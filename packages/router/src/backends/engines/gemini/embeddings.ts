import { z } from 'zod';
import type { Embedder, EmbeddingAnswer, EmbeddingAsk, EmbeddingCall } from '../../../core/embedding.ts';
import { BackendError, RequestError } from '../../../core/errors.ts';
import type { KeyRing } from '../../key-ring.ts';
import { bareModelName } from './models.ts';
import { type GeminiTransport, RefusedError } from './transport.ts';

/** What one `batchEmbedContents` takes. */
const textsAtOnce = 100;

const answerBody = z.object({ embeddings: z.array(z.object({ values: z.array(z.number()).min(1) })) });

/** What Gemini's embedding models are asked through. */
export interface GeminiEmbeddings {
  readonly backend: string;
  readonly models: readonly string[];
  readonly transport: GeminiTransport;
  readonly keys: KeyRing;
}

/** Gemini's embedding models. They do not say how many tokens they read. */
export function geminiEmbedder(gemini: GeminiEmbeddings): Embedder {
  return { models: gemini.models, embed: (ask, call) => embed(gemini, ask, call) };
}

async function embed(gemini: GeminiEmbeddings, ask: EmbeddingAsk, call: EmbeddingCall): Promise<EmbeddingAnswer> {
  const { inputs, dimensions, taskType, title } = ask;
  const model = `models/${bareModelName(call.model)}`;
  const requests = inputs.map((text) => {
    if (typeof text !== 'string') {
      throw new RequestError('input: this model takes texts, not token ids; send strings.', { param: 'input' });
    }
    return { model, content: { parts: [{ text }] }, taskType, title, outputDimensionality: dimensions };
  });
  const vectors: Float32Array[] = [];
  for (let at = 0; at < requests.length; at += textsAtOnce) {
    const piece = requests.slice(at, at + textsAtOnce);
    const read = answerBody.safeParse(await post(gemini, JSON.stringify({ requests: piece }), call));
    if (!read.success || read.data.embeddings.length !== piece.length) {
      throw new BackendError('The cloud provider answered with something other than embeddings; try again.', {
        fault: 'bad_answer',
        backend: gemini.backend,
      });
    }
    // Vectors that were shortened are not of unit length, as OpenAI's always are.
    for (const { values } of read.data.embeddings) vectors.push(ofUnitLength(values));
  }
  return { vectors };
}

async function post({ transport, keys }: GeminiEmbeddings, body: string, { model, signal }: EmbeddingCall) {
  for (let left = keys.size; ; left--) {
    const permit = keys.take(model);
    try {
      const answer = await transport.embed({ model, body, secret: permit.secret, signal });
      permit.succeeded();
      return answer;
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      const { limit, isKeyBad } = error.refusal;
      if (limit !== undefined) permit.limited(limit);
      if (isKeyBad === true) permit.refused();
      if (left <= 1 || (limit === undefined && isKeyBad !== true)) throw error.refusal.error;
    }
  }
}

function ofUnitLength(values: readonly number[]): Float32Array {
  const length = Math.hypot(...values);
  return Float32Array.from(values, (value) => (length === 0 ? value : value / length));
}
