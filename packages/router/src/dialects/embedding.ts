import * as z from 'zod';
import type { EmbeddingAnswer, EmbeddingInput, EmbeddingRequest } from '../core/embedding.ts';
import { LfoError, RequestError } from '../core/errors.ts';
import type { Usage } from '../core/events.ts';
import type { ListedModel } from '../core/exchange.ts';
import type { KeyIdentity } from '../core/identity.ts';
import type { AnswerMetadata } from './metadata.ts';
import { readHints } from './mode.ts';
import type { ReaderDeps, Received } from './reading.ts';
import type { DialectName } from './wire.ts';

/** A validated request for vectors of any wire, and how its answer is written. */
export interface ReadEmbedding {
  readonly request: EmbeddingRequest;
  readonly dialect: DialectName;
  /** The body of the answer; `metadata` is its `lfo_metadata`. */
  readonly body: (answer: EmbeddingAnswer, usage: Usage, metadata: AnswerMetadata, elapsedMs: number) => object;
  /** The wire's envelope of an error. */
  readonly errorBody: (error: LfoError) => object;
}

/** What a body asks for, in the words of every wire. */
export interface EmbeddingWish {
  readonly model: string | null | undefined;
  readonly inputs: readonly EmbeddingInput[];
  readonly dimensions?: number | null | undefined;
  readonly taskType?: string | null | undefined;
  readonly title?: string | null | undefined;
  readonly truncate?: boolean;
}

/** Most texts of one request. */
export const maxInputs = 2048;

/** Length of a vector. */
export const dimensionsField = z.int().min(1).max(65_536).nullish();

/**
 * The request for one model's vectors. A model's name means that model alone: no rule for names and no alias but
 * `lfo-embed` stands for one.
 * @throws RequestError whose param names the field or header; LfoError 403 or 404
 */
export function embeddingRequest(
  { id, headers, identity, body }: Received,
  wish: EmbeddingWish,
  { findModel }: Pick<ReaderDeps, 'findModel'>,
): EmbeddingRequest {
  const askedModel = wish.model ?? 'lfo-embed';
  const model = embeddingModel(askedModel, identity, findModel);
  const { mode, clientKey, deadlineMs } = readHints({
    headers,
    metadata: undefined,
    model,
    identity,
    conversation: undefined,
    isStream: false,
  });
  const [server] = model.servers ?? [];
  if (server === undefined || mode === 'auto') throw unknownModel();
  const { dimensions, taskType, title } = wish;
  return {
    id,
    backend: server.id,
    model: model.standsFor ?? model.id,
    askedModel,
    inputs: wish.inputs.map((input) => (typeof input === 'string' ? input.toWellFormed() : input)),
    ...(typeof dimensions === 'number' && { dimensions }),
    ...(typeof taskType === 'string' && { taskType }),
    ...(typeof title === 'string' && { title }),
    truncate: wish.truncate === true,
    hints: {
      mode,
      ...(clientKey !== undefined && { clientKey }),
      ...(deadlineMs !== undefined && { deadlineMs }),
    },
    bodyBytes: body.bytes,
  };
}

function embeddingModel(name: string, identity: KeyIdentity, findModel: ReaderDeps['findModel']): ListedModel {
  const found = knownModel(name, identity, findModel);
  if (found?.embeds === true) return found;
  if (found === undefined) throw unknownModel();
  throw new RequestError(`model: ${found.id} chats and makes no embeddings. ${howToAdd}`, {
    code: 'model_not_embedding',
    param: 'model',
  });
}

function knownModel(name: string, identity: KeyIdentity, findModel: ReaderDeps['findModel']): ListedModel | undefined {
  try {
    const { model, nameRule } = findModel(name, identity);
    return nameRule === undefined ? model : undefined;
  } catch (error) {
    if (error instanceof LfoError && error.code === 'model_not_found') return undefined;
    throw error;
  }
}

const howToAdd =
  'Name a model under embedding_models of a backend in lfo.yaml, or set embedded.embedding_model: all-minilm-l6-v2; GET /v1/models lists what there is.';

function unknownModel(): LfoError {
  return new LfoError(`This embedding model does not exist here. ${howToAdd}`, {
    code: 'model_not_found',
    status: 404,
    param: 'model',
  });
}

/** Little-endian 32-bit floats as base64, as OpenAI's SDKs ask for by default. */
export function base64Vector(vector: Float32Array): string {
  const bytes = Buffer.alloc(vector.length * 4);
  for (let at = 0; at < vector.length; at++) bytes.writeFloatLE(vector[at] ?? 0, at * 4);
  return bytes.toString('base64');
}
