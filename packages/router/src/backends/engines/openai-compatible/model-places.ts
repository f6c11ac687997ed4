import { Abort, type Cancellation, unlessAborted } from '../../../core/abort.ts';
import type { Clock } from '../../../core/clock.ts';
import { BackendError } from '../../../core/errors.ts';
import { isJsonObject, type JsonValue } from '../../../core/json.ts';
import { type Exchanges, StatusError } from './exchange.ts';

/** How long the answer is believed: a name can be given to another model at any time. */
const believedMs = 1000;

const askMs = 5000;

export interface ModelPlacesOptions {
  readonly exchanges: Exchanges;
  readonly clock: Clock;
  readonly backend: string;
  readonly key: string | undefined;
}

/**
 * Where the models of a local server run. Ollama hands some on to a cloud, which their names need not say: an alias of
 * one (`ollama cp`, `ollama create`) is called as its maker likes. Its `/api/tags` says it of each. Of any other server
 * nothing is known, and all its models are taken to run there.
 */
export class ModelPlaces {
  readonly #options: ModelPlacesOptions;
  /** Whose its model list is; absent: it has none yet, or one that tells nothing. */
  #listOf: 'ollama' | 'another' | undefined;
  /** It has answered, and not as an Ollama does. */
  #isOther = false;
  /** Its models by their full names, and whether each is handed on; absent: it has not said. */
  #handedOn: ReadonlyMap<string, boolean> | undefined;
  #saidMs = -Infinity;
  #asking: Promise<void> | undefined;

  constructor(options: ModelPlacesOptions) {
    this.#options = options;
  }

  /** Asks, in a probe. Others than Ollama are asked once: some log each path they do not know. Never rejects. */
  async look(list: JsonValue): Promise<void> {
    this.#listOf = whoseList(list);
    if (this.#isOther && this.#listOf !== 'ollama') return;
    await this.#ask().catch(() => undefined);
  }

  /** Whoever comes back may be another. */
  forget(): void {
    this.#isOther = false;
    this.#listOf = undefined;
    this.#handedOn = undefined;
  }

  /** It is an Ollama and does not say. */
  get isSilent(): boolean {
    return this.#listOf === 'ollama' && this.#handedOn === undefined;
  }

  /** As far as it is known without asking. */
  placeOf(model: string): 'here' | 'cloud' | 'unknown' {
    if (this.#handedOn === undefined) return this.#listOf === 'ollama' ? 'unknown' : 'here';
    const isHandedOn = this.#handedOn.get(fullName(model));
    if (isHandedOn === undefined) return 'unknown';
    return isHandedOn ? 'cloud' : 'here';
  }

  /**
   * Whether a prompt for the model would leave, as the server says it now.
   * @throws BackendError where it does not say; nothing may be sent then
   */
  async isHandedOn(model: string, signal: Cancellation): Promise<boolean> {
    if (this.#isNoOllama) return false;
    const { clock, backend } = this.#options;
    const isFresh = clock.nowMs() - this.#saidMs <= believedMs;
    if (this.#handedOn === undefined || !isFresh) await unlessAborted(this.#ask(), signal);
    const place = this.placeOf(model);
    if (place !== 'unknown') return place === 'cloud';
    if (this.isSilent) throw new BackendError(`The backend ${silence}`, { fault: 'server', backend });
    throw new BackendError('The backend does not know the model; see GET /v1/models.', {
      fault: 'rejected',
      status: 404,
      code: 'model_not_found',
      backend,
    });
  }

  get #isNoOllama(): boolean {
    if (this.#listOf === 'ollama' || this.#handedOn !== undefined) return false;
    return this.#isOther || this.#listOf === 'another';
  }

  /** Those who ask at the same time share the answer. */
  #ask(): Promise<void> {
    this.#asking ??= this.#read().finally(() => (this.#asking = undefined));
    return this.#asking;
  }

  async #read(): Promise<void> {
    const { clock, exchanges, backend, key } = this.#options;
    const abort = new Abort();
    const late = new BackendError('The backend did not list its models in time.', { fault: 'timeout', backend });
    const cancel = clock.schedule(askMs, () => abort.abort(late));
    try {
      const answer = await exchanges.send('/../api/tags', key, abort);
      const said = handedOnIn(await exchanges.json(answer));
      // Another LFO answers here too, and says of every answer where its prompt went.
      this.#handedOn = answer.headers['x-lfo-router'] === undefined ? said : undefined;
      this.#isOther = this.#handedOn === undefined;
      this.#saidMs = clock.nowMs();
    } catch (error) {
      this.#handedOn = undefined;
      this.#isOther = isNoAnswer(error);
      if (!this.#isOther) throw error instanceof StatusError ? error.shown : error;
    } finally {
      cancel();
    }
  }
}

/** Said of an Ollama of which none is asked, after its name or the like. */
export const silence =
  'is an Ollama that does not say at /api/tags which of its models run in a cloud, so that none is used in the tier local: let that path through to it.';

/** Such a path is not there, or something else is. What may be better soon is no answer. */
function isNoAnswer(error: unknown): boolean {
  if (error instanceof BackendError) return error.fault === 'bad_answer';
  if (!(error instanceof StatusError)) return false;
  const { status } = error;
  return status === 501 || (status < 500 && status !== 408 && status !== 429);
}

/** Ollama names as the owner of a model the namespace of its name, and a name has a tag in any case. */
function whoseList(list: JsonValue): 'ollama' | 'another' | undefined {
  const entries = isJsonObject(list) ? list['data'] : undefined;
  if (!Array.isArray(entries) || entries.length === 0) return undefined;
  return entries.some(isOfOllama) ? 'ollama' : 'another';
}

function isOfOllama(entry: JsonValue): boolean {
  if (!isJsonObject(entry) || typeof entry['id'] !== 'string') return false;
  const name = /^(?:(?:[^/]+\/)?([^/]+)\/)?[^/:]+:[^/:]+$/.exec(entry['id']);
  return name !== null && entry['owned_by'] === (name[1] ?? 'library');
}

/** Reads `/api/tags`; undefined where that is not Ollama's: llama-server answers there too, without digests. */
function handedOnIn(value: JsonValue): ReadonlyMap<string, boolean> | undefined {
  const models = isJsonObject(value) ? value['models'] : undefined;
  // An Ollama without models says null.
  if (models === undefined || (models !== null && !Array.isArray(models))) return undefined;
  const handedOn = new Map<string, boolean>();
  for (const entry of models ?? []) {
    if (!isJsonObject(entry) || typeof entry['digest'] !== 'string' || entry['digest'] === '') return undefined;
    const isHandedOn = isSaid(entry['remote_host']) || isSaid(entry['remote_model']);
    for (const name of [entry['name'], entry['model']]) {
      if (typeof name !== 'string') continue;
      handedOn.set(fullName(name), isHandedOn || handedOn.get(fullName(name)) === true);
    }
  }
  return handedOn;
}

function isSaid(value: JsonValue | undefined): boolean {
  return value !== undefined && value !== null && value !== '';
}

/** All spellings of a name that mean the same model to Ollama; `:local` there means one that is not handed on. */
function fullName(model: string): string {
  const name = model
    .trim()
    .toLowerCase()
    .replace(/^https?:\/\//, '')
    .replace(/^registry\.ollama\.ai\//, '')
    .replace(/^library\//, '')
    .replace(/:local$/, '');
  return /:[^/]*$/.test(name) ? name : `${name}:latest`;
}
