import type { LlamaEmbeddingContext, LlamaModel, Token } from 'node-llama-cpp';
import type { ModelInfo } from '@lfo/protocol';
import { EngineError, type EngineEvent, type EngineOptions, type LoadedModel, type ModelFile } from '@lfo/device-core';

/** Architectures of llama.cpp whose models read a text and write none. */
const encoders: ReadonlySet<string> = new Set([
  'bert',
  'nomic-bert',
  'nomic-bert-moe',
  'jina-bert-v2',
  'jina-bert-v3',
  'neo-bert',
  'modern-bert',
  'gemma-embedding',
]);

/** Whether a model is made to turn texts into vectors: an encoder, or one whose file says how its tokens are pooled. */
export function isEmbeddingModel(model: LlamaModel): boolean {
  const { general } = model.fileInfo.metadata;
  const pooling: unknown = model.fileInfo.architectureMetadata.pooling_type;
  return encoders.has(general.architecture) || (typeof pooling === 'number' && pooling > 0);
}

/** Makes the context in which it reads, of the length it was trained on at most. */
export async function loadEmbeddingModel(
  model: LlamaModel,
  file: ModelFile,
  options: EngineOptions,
  threads: number,
  signal: AbortSignal,
): Promise<LlamaEmbeddingModel> {
  const ctx = Math.min(options.contextTokens, model.trainContextSize);
  const context = await model.createEmbeddingContext({
    // It takes texts shorter than its context alone; and what attends both ways is read in one piece.
    contextSize: ctx + 1,
    batchSize: ctx + 1,
    threads,
    createSignal: signal,
  });
  return new LlamaEmbeddingModel(model, context, file, ctx);
}

/** A model that turns texts into vectors, one text at a time. */
export class LlamaEmbeddingModel implements LoadedModel {
  readonly info: ModelInfo;
  readonly slots = 1;
  readonly #model: LlamaModel;
  readonly #context: LlamaEmbeddingContext;
  /** Tokens that the model adds around each text. */
  readonly #added: number;
  #isClosed = false;

  constructor(model: LlamaModel, context: LlamaEmbeddingContext, file: ModelFile, ctx: number) {
    this.#model = model;
    this.#context = context;
    const word = model.tokenize('a');
    this.#added = context.calculateInputLength(word) - word.length;
    this.info = { id: file.id, ctx, ...(file.quant === undefined ? {} : { quant: file.quant }), caps: ['embedding'] };
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  count(): Promise<never> {
    return Promise.reject(noChat(this.info.id));
  }

  // oxlint-disable-next-line require-yield
  async *run(): AsyncGenerator<EngineEvent, void, void> {
    throw noChat(this.info.id);
  }

  async embed(
    texts: readonly string[],
    { truncate }: { readonly truncate: boolean },
    signal: AbortSignal,
  ): Promise<{ vectors: readonly Float32Array[]; tokens: number }> {
    const inputs = texts.map((text, index) => this.#tokens(text, index, truncate));
    const vectors: Float32Array[] = [];
    for (const input of inputs) {
      signal.throwIfAborted();
      const { vector } = await this.#context.getEmbeddingFor(input);
      vectors.push(ofUnitLength(vector));
    }
    return { vectors, tokens: inputs.reduce((sum, { length }) => sum + length + this.#added, 0) };
  }

  rates(): Record<string, never> {
    return {};
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#context.dispose();
    await this.#model.dispose();
  }

  /** Its words alone: a `[SEP]` of the user's is no mark. */
  #tokens(text: string, index: number, truncate: boolean): Token[] {
    const tokens = this.#model.tokenize(text);
    const most = this.info.ctx - this.#added;
    if (tokens.length <= most) return tokens;
    if (truncate) return tokens.slice(0, most);
    throw new EngineError(
      'too_long',
      `Text ${index} has ${tokens.length + this.#added} tokens and ${this.info.id} takes ${this.info.ctx}; split it.`,
      false,
    );
  }
}

function ofUnitLength(vector: readonly number[]): Float32Array {
  const length = Math.hypot(...vector);
  return Float32Array.from(vector, (value) => (length === 0 ? value : value / length));
}

function noChat(id: string): EngineError {
  return new EngineError('unsupported', `${id} makes embeddings and answers nothing; ask another model.`, false);
}
