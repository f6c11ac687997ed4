import type { CreateEmbeddingResponse } from 'openai/resources';
import type { EmbedResponse } from 'ollama';
import type { JsonObject } from '../../src/core/json.ts';
import { gemini } from './gemini.ts';
import { ollama } from './ollama.ts';
import { openaiChat } from './openai-chat.ts';
import { parsed, type Wire } from './talk.ts';

/** One way to ask for vectors. */
export interface EmbeddingWire {
  readonly name: string;
  /** Of its records. */
  readonly dialect: string;
  /** It takes one text. */
  readonly isSingle?: true;
  /** It has a word for the length of a vector. */
  readonly hasDimensions: boolean;
  path(model: string): string;
  body(model: string, texts: readonly string[], dimensions?: number): JsonObject;
  /** Vectors in the order of the texts, and the prompt's tokens where the wire tells. */
  read(body: unknown): { readonly vectors: readonly (readonly number[])[]; readonly tokens: number | undefined };
  error: Wire['error'];
}

function openai(format: 'float' | 'base64'): EmbeddingWire {
  return {
    name: `openai-embeddings, ${format}`,
    dialect: 'openai-embeddings',
    hasDimensions: true,
    path: () => '/v1/embeddings',
    body: (model, input, dimensions) => ({
      model,
      input,
      encoding_format: format,
      ...(dimensions !== undefined && { dimensions }),
    }),
    read(body) {
      const { data, usage }: CreateEmbeddingResponse = parsed(body);
      const inOrder = data.toSorted((one, two) => one.index - two.index);
      return { vectors: inOrder.map(({ embedding }) => floats(embedding)), tokens: usage.prompt_tokens };
    },
    error: (body) => openaiChat.error(body),
  };
}

/** As the official SDKs read them. */
function floats(embedding: readonly number[] | string): readonly number[] {
  if (typeof embedding !== 'string') return embedding;
  const bytes = new Uint8Array(Buffer.from(embedding, 'base64'));
  return Array.from(new Float32Array(bytes.buffer));
}

const geminiOne: EmbeddingWire = {
  name: 'gemini, embedContent',
  dialect: 'gemini',
  isSingle: true,
  hasDimensions: true,
  path: (model) => `/v1beta/models/${model}:embedContent`,
  body: (_model, [text = ''], dimensions) => ({
    content: { parts: [{ text }] },
    ...(dimensions !== undefined && { outputDimensionality: dimensions }),
  }),
  read(body) {
    const { embedding, usageMetadata } = parsed(body);
    return { vectors: [embedding.values], tokens: usageMetadata.promptTokenCount };
  },
  error: (body) => gemini.error(body),
};

const geminiBatch: EmbeddingWire = {
  name: 'gemini, batchEmbedContents',
  dialect: 'gemini',
  hasDimensions: true,
  path: (model) => `/v1beta/models/${model}:batchEmbedContents`,
  body: (model, texts, dimensions) => ({
    requests: texts.map((text) => ({
      model: `models/${model}`,
      content: { parts: [{ text }] },
      ...(dimensions !== undefined && { outputDimensionality: dimensions }),
    })),
  }),
  read(body) {
    const { embeddings, usageMetadata } = parsed(body);
    const all: readonly { readonly values: readonly number[] }[] = embeddings;
    return { vectors: all.map(({ values }) => values), tokens: usageMetadata.promptTokenCount };
  },
  error: (body) => gemini.error(body),
};

const ollamaEmbed: EmbeddingWire = {
  name: 'ollama, embed',
  dialect: 'ollama',
  hasDimensions: true,
  path: () => '/api/embed',
  body: (model, input, dimensions) => ({ model, input, ...(dimensions !== undefined && { dimensions }) }),
  read(body) {
    const { embeddings, prompt_eval_count: tokens }: EmbedResponse = parsed(body);
    return { vectors: embeddings, tokens };
  },
  error: (body) => ollama.error(body),
};

/** It tells no usage. */
const ollamaOlder: EmbeddingWire = {
  name: 'ollama, embeddings',
  dialect: 'ollama',
  isSingle: true,
  hasDimensions: false,
  path: () => '/api/embeddings',
  body: (model, [prompt = '']) => ({ model, prompt }),
  read: (body) => ({ vectors: [parsed(body).embedding], tokens: undefined }),
  error: (body) => ollama.error(body),
};

/** The first is what the others are compared with. */
export const embeddingWires: readonly EmbeddingWire[] = [
  openai('float'),
  openai('base64'),
  geminiOne,
  geminiBatch,
  ollamaEmbed,
  ollamaOlder,
];
