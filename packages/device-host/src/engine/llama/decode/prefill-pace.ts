import { readStep } from './slots.ts';

/** A chunk blocks every other stream of the context, and an abort waits for its end. */
const sharedChunkMs = 150;
/** Bigger chunks compute faster: on the default model 16 tokens at a time cost a fifth of the speed. */
const aloneChunkMs = 300;
const mostTokens = 512;
/** Before anything was measured. */
const firstTokens = 2 * readStep;

/** Sizes the chunks a prompt is read in, by the speed of the chunks before. */
export class PrefillPace {
  readonly #rate = new Rate();

  /** Tokens of the next chunk, a multiple of `readStep`; `isAlone` when no other slot computes. */
  chunkTokens(isAlone: boolean): number {
    const perSecond = this.#rate.perSecond;
    if (perSecond === undefined) return firstTokens;
    const tokens = (perSecond * (isAlone ? aloneChunkMs : sharedChunkMs)) / 1000;
    return readStep * Math.max(1, Math.min(mostTokens / readStep, Math.round(tokens / readStep)));
  }

  /** Counts a chunk that took `ms`. */
  add(tokens: number, ms: number): void {
    this.#rate.add(tokens, ms);
  }
}

/** Samples after which an older one weighs half. */
const halvedEach = 8;
const fading = 0.5 ** (1 / halvedEach);

/** Tokens per second over the last samples, each weighing by its tokens: a short one is mostly fixed cost and noise. */
export class Rate {
  #tokens = 0;
  #ms = 0;

  /** Counts `tokens` computed in `ms`; nothing when either is too small to tell. */
  add(tokens: number, ms: number): void {
    if (tokens <= 0 || ms <= 0) return;
    this.#tokens = this.#tokens * fading + tokens;
    this.#ms = this.#ms * fading + ms;
  }

  /** Absent until something was measured. */
  get perSecond(): number | undefined {
    return this.#ms === 0 ? undefined : (this.#tokens * 1000) / this.#ms;
  }
}
