import type { LlamaContextSequence, SequenceEvaluateOptions, Token } from 'node-llama-cpp';
import type { PrefillPace } from './prefill-pace.ts';

/** A token the model chose; score data where it was asked for. */
export interface Sampled {
  readonly token: Token;
  /** Probability of the token after the sampler, 0..1. */
  readonly confidence?: number;
  /** Sorted, the likeliest first. */
  readonly probabilities?: ReadonlyMap<Token, number>;
}

/** What one decode needs. */
export interface DecodeJob {
  readonly sequence: LlamaContextSequence;
  /** The whole prompt; the first `reused` tokens are in the sequence already. */
  readonly tokens: readonly Token[];
  readonly reused: number;
  readonly sampling: SequenceEvaluateOptions;
  /** What a scored token comes with. */
  readonly metadata: { readonly confidence: boolean; readonly probabilities: boolean };
  readonly pace: PrefillPace;
  readonly isAlone: () => boolean;
  readonly nowMs: () => number;
  readonly onPrefill: (done: number, total: number) => void;
}

/** Time spent computing, the reader's own time left out. */
export interface DecodeTimes {
  readonly prefillMs: number;
  readonly decodeMs: number;
  /** Tokens chosen. */
  readonly sampled: number;
}

type TokenIterator = ReturnType<LlamaContextSequence['evaluateWithMetadata']>;

/** Reads a prompt in chunks, then chooses one token at a time. */
export class Decode {
  readonly #job: DecodeJob;
  /** The computation under way; it cannot be interrupted. */
  #pending: Promise<unknown> = Promise.resolve();
  #iterator: TokenIterator | undefined;
  #isScored = false;
  /** Chosen, not yet computed with. */
  #last: Token | undefined;
  #prefillMs = 0;
  #decodeMs = 0;
  #sampled = 0;

  constructor(job: DecodeJob) {
    this.#job = job;
  }

  get times(): DecodeTimes {
    return { prefillMs: this.#prefillMs, decodeMs: this.#decodeMs, sampled: this.#sampled };
  }

  /**
   * The next token, or undefined when the model ended its turn; its score data at least where `scored`.
   * @throws the signal's reason at once when it aborts
   */
  async next(scored: boolean, signal: AbortSignal): Promise<Sampled | undefined> {
    const iterator = await this.#evaluation(scored, signal);
    const started = this.#job.nowMs();
    const result = await this.#compute(iterator.next(), signal);
    const took = this.#job.nowMs() - started;
    if (this.#sampled === 0) this.#prefillMs += took;
    else this.#decodeMs += took;
    if (this.#sampled === 0) this.#job.onPrefill(this.#job.tokens.length, this.#job.tokens.length);
    if (result.done === true) return undefined;
    this.#sampled += 1;
    this.#last = result.value.token;
    return result.value;
  }

  /** Stops; resolves when the sequence is idle, after at most the chunk under way. */
  async end(): Promise<void> {
    await this.#pending.catch(() => {});
    await this.#iterator?.return();
  }

  /**
   * A score costs llama.cpp a sort of the vocabulary: 10 to 20 ms a token on the default model, of 70. Above temperature
   * 0 the sampler has shortened the list, and a new one would draw its random numbers anew: there all are scored.
   */
  async #evaluation(wanted: boolean, signal: AbortSignal): Promise<TokenIterator> {
    const { temperature = 0 } = this.#job.sampling;
    const scored = wanted || temperature > 0;
    if (this.#iterator !== undefined && this.#isScored === scored) return this.#iterator;
    const rest = this.#last === undefined ? await this.#prefill(signal) : [this.#last];
    await this.#iterator?.return();
    const { sequence, sampling, metadata } = this.#job;
    this.#isScored = scored;
    this.#iterator = sequence.evaluateWithMetadata(rest, scored ? metadata : {}, sampling);
    return this.#iterator;
  }

  /** Reads all but the last chunk, which the first token is computed with. */
  async #prefill(signal: AbortSignal): Promise<Token[]> {
    const { tokens, reused, sequence, pace, isAlone, nowMs, onPrefill } = this.#job;
    let at = reused;
    for (;;) {
      const size = pace.chunkTokens(isAlone());
      if (tokens.length - at <= size) break;
      const started = nowMs();
      await this.#compute(sequence.evaluateWithoutGeneratingNewTokens(tokens.slice(at, at + size)), signal);
      const took = nowMs() - started;
      pace.add(size, took);
      this.#prefillMs += took;
      at += size;
      onPrefill(at, tokens.length);
    }
    return tokens.slice(at);
  }

  async #compute<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
    this.#pending = work;
    return await abortable(work, signal);
  }
}

/** The promise's outcome, or the signal's reason as soon as it aborts; what the promise does then is nobody's concern. */
async function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  let leave = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    leave = () => reject(signal.reason);
    if (signal.aborted) leave();
    signal.addEventListener('abort', leave, { once: true });
  });
  // Rejections that come too late must not count as unhandled.
  promise.catch(() => {});
  aborted.catch(() => {});
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', leave);
  }
}
