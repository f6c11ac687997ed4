import { stat } from 'node:fs/promises';
import { freemem } from 'node:os';
import { InsufficientMemoryError, type Llama, type LlamaContext, type LlamaModel } from 'node-llama-cpp';
import { inspectGguf } from '../../models/gguf.ts';
import { ModelError } from '../../models/model-error.ts';
import { EngineError, type EngineOptions, type ModelFile } from '@lfo/device-core';

const mebibyte = 2 ** 20;

/** Of keys and values in a 7B model without shared heads; smaller and newer models need a tenth of it. */
const mostBytesPerToken = mebibyte / 2;

/** Makes sure the file can be a model before llama.cpp reads it. @throws EngineError `engine` */
export async function checkModelFile(file: ModelFile, freeBytes: () => number = freemem): Promise<void> {
  try {
    await inspectGguf(file.path);
  } catch (cause) {
    if (cause instanceof ModelError) throw new EngineError('engine', cause.message, false, { cause });
    throw cause;
  }
  const { size } = await stat(file.path);
  if (size > freeBytes()) throw tooLittleMemory(size, freeBytes());
}

/** Loads the weights. @throws EngineError; the signal's reason when aborted */
export async function loadWeights(
  llama: Llama,
  file: ModelFile,
  onProgress: (done: number, total: number) => void,
  signal: AbortSignal,
): Promise<LlamaModel> {
  try {
    return await llama.loadModel({
      modelPath: file.path,
      loadSignal: signal,
      // Reusing a prefix needs the whole of it, also where a layer attends to its last tokens alone.
      defaultContextSwaFullCache: true,
      onLoadProgress: (ratio) => onProgress(ratio, 1),
    });
  } catch (cause) {
    signal.throwIfAborted();
    if (cause instanceof InsufficientMemoryError) throw noRoom(cause);
    throw new EngineError(
      'engine',
      'llama.cpp cannot load this model: its architecture may be newer than this build. Choose another model, or update LFO.',
      false,
      { cause },
    );
  }
}

/** Makes the context with its slots. @throws EngineError; the signal's reason when aborted */
export async function makeContext(
  model: LlamaModel,
  options: EngineOptions,
  threads: number,
  signal: AbortSignal,
  freeBytes: () => number = freemem,
): Promise<LlamaContext> {
  const isSliding = model.gpuLayers === 0 && (model.fileInsights.swaSize ?? 0) > 0;
  const contextSize = Math.min(options.contextTokens, model.trainContextSize);
  // The estimate costs a quarter of a second of the start: only where the answer is not plain.
  if (contextSize * options.slots * mostBytesPerToken > freeBytes()) {
    const { cpuRam } = await model.fileInsights.estimateContextResourceRequirementsV2({
      contextSize,
      sequences: options.slots,
      modelGpuLayers: model.gpuLayers,
      swaFullCache: true,
      ...(isSliding ? { flashAttention: false } : {}),
    });
    if (cpuRam > freeBytes()) throw tooLittleMemory(cpuRam, freeBytes());
  }
  try {
    return await model.createContext({
      contextSize,
      sequences: options.slots,
      threads,
      createSignal: signal,
      failedCreationRemedy: false,
      // Where Gemma 3 reads with flash attention, one prompt's scores differ by a fifth with the size of its chunks.
      ...(isSliding ? { flashAttention: false } : {}),
      // It would estimate once more. On a GPU, whose memory we do not know, it shall.
      ignoreMemorySafetyChecks: model.gpuLayers === 0,
    });
  } catch (cause) {
    signal.throwIfAborted();
    throw noRoom(cause);
  }
}

function tooLittleMemory(needed: number, free: number): EngineError {
  return new EngineError(
    'engine',
    `The model needs about ${Math.ceil(needed / mebibyte)} MiB more memory and ${Math.floor(free / mebibyte)} MiB are free; choose a smaller model, context or number of slots.`,
    false,
  );
}

function noRoom(cause: unknown): EngineError {
  return new EngineError(
    'engine',
    'There is too little memory for this model and context; choose a smaller model, context or number of slots.',
    false,
    { cause },
  );
}
