import type { DeviceMessage, MessageOf } from '@lfo/protocol';
import { EngineError, type LoadedModel } from '../engine/engine.ts';

/** Progress of a download or load, as the router sees it. */
export type LoadProgress = Pick<MessageOf<DeviceMessage, 'progress'>, 'phase' | 'done' | 'total' | 'what'>;

/** Fetches the model where needed and loads it; throws an EngineError whose message the owner may read. */
export type ModelOpener = (onProgress: (progress: LoadProgress) => void, signal: AbortSignal) => Promise<LoadedModel>;

export type ModelState =
  | { readonly kind: 'unloaded' }
  | { readonly kind: 'loading' }
  | { readonly kind: 'loaded'; readonly model: LoadedModel }
  | { readonly kind: 'failed'; readonly error: EngineError };

/** The one model of a host, on its way in and out of memory. */
export class HostedModel {
  readonly #open: ModelOpener;
  readonly #onChange: () => void;
  readonly #onProgress: (progress: LoadProgress) => void;
  #state: ModelState = { kind: 'unloaded' };
  #abort = new AbortController();
  #closing: Promise<void> = Promise.resolve();

  constructor(open: ModelOpener, onChange: () => void, onProgress: (progress: LoadProgress) => void) {
    this.#open = open;
    this.#onChange = onChange;
    this.#onProgress = onProgress;
  }

  get state(): ModelState {
    return this.#state;
  }

  /** The model, while it can run. */
  get loaded(): LoadedModel | undefined {
    return this.#state.kind === 'loaded' ? this.#state.model : undefined;
  }

  /** Begins to load; does nothing while loading or loaded. The outcome is a change of state. */
  load(): void {
    if (this.#state.kind === 'loading' || this.#state.kind === 'loaded') return;
    this.#abort = new AbortController();
    this.#become({ kind: 'loading' });
    void this.#load(this.#abort.signal);
  }

  /** Takes the model out of memory or ends its loading; whoever runs on it must have ended. */
  unload(): Promise<void> {
    const { loaded } = this;
    this.#abort.abort(new EngineError('no_model', 'The model is being unloaded.', true));
    // A model that does not close well keeps its memory and nothing else from going on.
    if (loaded !== undefined) this.#closing = loaded.close().catch(() => {});
    if (this.#state.kind !== 'unloaded') this.#become({ kind: 'unloaded' });
    return this.#closing;
  }

  async #load(signal: AbortSignal): Promise<void> {
    try {
      await this.#closing;
      const model = await this.#open(this.#onProgress, signal);
      if (signal.aborted) await model.close();
      else this.#become({ kind: 'loaded', model });
    } catch (error) {
      if (!signal.aborted) this.#become({ kind: 'failed', error: asNoModel(error) });
    }
  }

  #become(state: ModelState): void {
    this.#state = state;
    this.#onChange();
  }
}

/** Engine errors are written for the owner; anything else is described, not shown. */
function asNoModel(error: unknown): EngineError {
  const options = { cause: error };
  if (error instanceof EngineError) return new EngineError('no_model', error.message, error.retryable, options);
  return new EngineError(
    'no_model',
    'The model could not be loaded. The log of the device host has more.',
    false,
    options,
  );
}
