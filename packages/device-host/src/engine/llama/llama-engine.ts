import { randomBytes, randomInt } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { getLlama, LlamaLogLevel, NoBinaryFoundError, type Llama } from 'node-llama-cpp';
import { EngineError, type Engine, type EngineOptions, type LoadedModel, type ModelFile } from '@lfo/device-core';
import { systemClock } from '../../clock.ts';
import { LlamaLoadedModel, type LlamaSources } from './llama-model.ts';
import { isEmbeddingModel, loadEmbeddingModel, type LlamaEmbeddingModel } from './embedding-model.ts';
import { checkModelFile, loadWeights, makeContext } from './loading.ts';
import { Vocabulary } from './prompt/vocabulary.ts';

/** Of node-llama-cpp, which names the llama.cpp build; calibrations are keyed by it. */
const version = '3.21.1';

/** llama.cpp inside this process, through node-llama-cpp. */
export function llamaEngine(): Engine {
  return new LlamaEngine();
}

type Loaded = LlamaLoadedModel | LlamaEmbeddingModel;

class LlamaEngine implements Engine {
  readonly name = 'llama.cpp';
  readonly version = version;
  readonly #loaded = new Set<Loaded>();
  #llama: { readonly key: string; readonly instance: Promise<Llama> } | undefined;

  async load(
    file: ModelFile,
    options: EngineOptions,
    onProgress: (done: number, total: number) => void,
    signal: AbortSignal,
  ): Promise<LoadedModel> {
    signal.throwIfAborted();
    const threads = options.threads ?? defaultThreads();
    // The backend is tried out in a process of its own first, while this one is idle.
    const [llama] = await Promise.all([this.#backend(options.gpu, threads), checkModelFile(file)]);
    signal.throwIfAborted();
    const model = await loadWeights(llama, file, onProgress, signal);
    try {
      if (isEmbeddingModel(model)) return this.#keep(await loadEmbeddingModel(model, file, options, threads, signal));
      const context = await makeContext(model, options, threads, signal);
      return this.#keep(
        new LlamaLoadedModel({ llama, model, context, vocabulary: new Vocabulary(model) }, file, sources),
      );
    } catch (error) {
      await model.dispose();
      throw error;
    }
  }

  #keep(loaded: Loaded): Loaded {
    for (const other of this.#loaded) if (other.isClosed) this.#loaded.delete(other);
    this.#loaded.add(loaded);
    return loaded;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#loaded].map((model) => model.close()));
    this.#loaded.clear();
    const llama = this.#llama;
    this.#llama = undefined;
    await (await llama?.instance.catch(() => undefined))?.dispose();
  }

  /** One backend a process: loaded once, again only for other threads or another GPU setting. */
  async #backend(gpu: EngineOptions['gpu'], threads: number): Promise<Llama> {
    const key = `${gpu} ${threads}`;
    if (this.#llama?.key !== key) this.#llama = { key, instance: startLlama(gpu, threads) };
    const { instance } = this.#llama;
    try {
      return await instance;
    } catch (error) {
      this.#llama = undefined;
      throw error;
    }
  }
}

/** One core is left to everything else: with all of them, any other load cuts the speed to a tenth. */
function defaultThreads(): number {
  return Math.max(1, availableParallelism() - 1);
}

async function startLlama(gpu: EngineOptions['gpu'], threads: number): Promise<Llama> {
  try {
    return await getLlama({
      build: 'never',
      skipDownload: true,
      gpu: gpu === 'none' ? false : 'auto',
      maxThreads: threads,
      logLevel: LlamaLogLevel.disabled,
      logger: () => {},
      progressLogs: false,
    });
  } catch (cause) {
    const why = cause instanceof NoBinaryFoundError ? 'has no prebuilt binary for this machine' : 'cannot start';
    throw new EngineError(
      'engine',
      `llama.cpp ${why}; run npm install again, or use a local server or a device instead.`,
      false,
      { cause },
    );
  }
}

const sources: LlamaSources = {
  nowMs: () => systemClock.nowMs(),
  nonce: () => randomBytes(16).toString('hex'),
  randomSeed: () => randomInt(2 ** 31),
};
