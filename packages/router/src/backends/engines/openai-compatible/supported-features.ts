import type { ChatRequest } from '../../../core/request.ts';

/** What not every server takes, and what a request does without where it is refused. */
export type Feature = 'scores' | 'max_completion_tokens' | 'best_of' | 'sampler' | 'verbosity' | Way;

/**
 * How a text that is to be gone on with is asked for, other than as a chat: by `/completions`, there with a `suffix`, or
 * by llama-server's `/infill`, which alone takes what comes after a gap there.
 */
export type Way = 'completions' | 'suffix' | 'infill';

/** Kind of request that a server's refusals depend on: llama-server gives scores, and with tools in a stream none. */
export type RequestShape = `${'tools' | 'plain'}/${'stream' | 'whole'}` | 'text';

/** The shape of a request as it will be sent; `way`: that of a text, which is not sent as a chat. */
export function shapeOf({ tools }: Pick<ChatRequest, 'tools'>, stream: boolean, way?: Way): RequestShape {
  if (way !== undefined) return 'text';
  return `${tools.length > 0 ? 'tools' : 'plain'}/${stream ? 'stream' : 'whole'}`;
}

/** Pairs of model and shape that are remembered. */
const maxLearned = 1000;

/** Which features a server takes, learned by model and shape of request from what it answered. */
export class SupportedFeatures {
  readonly #learned = new Map<string, Map<Feature, boolean>>();
  #changes = 0;

  /** Grows when something else is known. */
  get changes(): number {
    return this.#changes;
  }

  /** Undefined until a request of that kind was answered. */
  takes(feature: Feature, model: string, shape: RequestShape): boolean | undefined {
    return this.#learned.get(keyOf(model, shape))?.get(feature);
  }

  learn(feature: Feature, model: string, shape: RequestShape, isTaken: boolean): void {
    const key = keyOf(model, shape);
    const known = this.#learned.get(key);
    if (known?.get(feature) === isTaken) return;
    this.#changes += 1;
    if (known !== undefined) known.set(feature, isTaken);
    else if (this.#learned.size < maxLearned) this.#learned.set(key, new Map([[feature, isTaken]]));
  }

  /** The server may be another version now. */
  forget(): void {
    this.#learned.clear();
    this.#changes += 1;
  }
}

/** Features that the text of an error names; the text itself is never passed on. */
export function featuresNamedIn(text: string): readonly Feature[] {
  const named: Feature[] = [];
  if (/logprobs/i.test(text)) named.push('scores');
  if (/top_k|min_p|repeat_penalty|repetition_penalty/i.test(text)) named.push('sampler');
  if (/verbosity/i.test(text)) named.push('verbosity');
  if (/best_of/i.test(text)) named.push('best_of');
  // Ollama's word for it is another.
  if (/suffix|support insert/i.test(text)) named.push('suffix');
  if (/max_completion_tokens/i.test(text)) named.push('max_completion_tokens');
  return named;
}

function keyOf(model: string, shape: RequestShape): string {
  return `${shape}\n${model}`;
}
