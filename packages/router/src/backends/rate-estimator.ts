import type { Rates } from '../core/backend.ts';

/** Samples after which an older one weighs half. */
const halvedEach = 8;
const fading = 0.5 ** (1 / halvedEach);

/** Fewer tokens to read are mostly fixed cost: a rate made of them would be ruled by it. */
const leastPrefill = 64;

/** Fewer tokens of an answer say little of its speed. */
const leastDecode = 8;

/** Nothing takes less. */
const leastMs = 0.001;

type Speeds = Pick<Rates, 'prefillRate' | 'decodeRate'>;

const plausible = { prefill: [1, 5000], decode: [0.2, 300] } as const;

/**
 * Fits how long one model on one backend takes to its first token, as a fixed cost and a rate of reading, and how fast it
 * writes, out of what the router has seen by its own clock. Samples weigh by their tokens, old ones fade.
 */
export class RateEstimator {
  /** Of prompts long enough for a rate: weights w are tokens x, times y. */
  readonly #long = { w: 0, wx: 0, wxx: 0, wy: 0, wxy: 0, leastY: Infinity };
  /** Of those that are not. */
  readonly #short = { n: 0, x: 0, y: 0 };
  #prefills = 0;
  readonly #written = { tokens: 0, ms: 0 };

  /** A prompt of which so many tokens were not cached had its first token after `ms`, queueing not included. */
  addFirstToken(uncachedTokens: number, ms: number): void {
    if (!Number.isFinite(uncachedTokens) || !Number.isFinite(ms) || uncachedTokens < 0 || ms < leastMs) return;
    if (uncachedTokens < leastPrefill) {
      const short = this.#short;
      short.n = short.n * fading + 1;
      short.x = short.x * fading + uncachedTokens;
      short.y = short.y * fading + ms;
      return;
    }
    this.#prefills++;
    const long = this.#long;
    for (const sum of ['w', 'wx', 'wxx', 'wy', 'wxy'] as const) long[sum] *= fading;
    long.w += uncachedTokens;
    long.wx += uncachedTokens ** 2;
    long.wxx += uncachedTokens ** 3;
    long.wy += uncachedTokens * ms;
    long.wxy += uncachedTokens ** 2 * ms;
    long.leastY = Math.min(long.leastY, ms);
  }

  /** An answer of so many tokens took `ms` from its first to its last. */
  addAnswer(tokens: number, ms: number): void {
    if (!Number.isFinite(tokens) || !Number.isFinite(ms) || tokens < leastDecode || ms < leastMs) return;
    this.#written.tokens = this.#written.tokens * fading + tokens - 1;
    this.#written.ms = this.#written.ms * fading + ms;
  }

  /**
   * What is known now. Rates that the backend reports fill in within plausible bounds, up to `most`, until there is a
   * sample of ours, and afterwards only where they are near what was seen.
   */
  read(reported: Speeds = {}, most: Speeds = {}): Rates {
    const { rate, fixedMs } = this.#fit();
    const { tokens, ms } = this.#written;
    const decode = ms === 0 ? undefined : (tokens / ms) * 1000;
    const prefillRate = settled(rate, bounded(reported.prefillRate, plausible.prefill, most.prefillRate));
    const decodeRate = settled(decode, bounded(reported.decodeRate, plausible.decode, most.decodeRate));
    return {
      ...(prefillRate === undefined ? {} : { prefillRate }),
      ...(fixedMs === undefined ? {} : { fixedMs }),
      ...(decodeRate === undefined ? {} : { decodeRate }),
    };
  }

  #fit(): { readonly rate: number | undefined; readonly fixedMs: number | undefined } {
    const { n, x, y } = this.#short;
    const meanX = n === 0 ? 0 : x / n;
    const meanY = n === 0 ? 0 : y / n;
    if (this.#prefills === 0) return { rate: undefined, fixedMs: n === 0 ? undefined : meanY };
    const { w, wx, wxx, wy, wxy, leastY } = this.#long;
    const plain = wxy / wxx;
    let perToken: number;
    if (n > 0) {
      // The line through the mean of the short ones that fits the long ones best.
      perToken = (wxy - meanY * wx) / (wxx - meanX * wx);
    } else {
      const spread = wxx * w - wx * wx;
      // Prompts of one length tell a sum and nothing of its parts.
      perToken = spread < wxx * w * leastSpread ? plain : (wxy * w - wx * wy) / spread;
    }
    if (!(perToken > plain * leastShare)) perToken = plain * leastShare;
    perToken = Math.min(perToken, plain);
    const rest = n > 0 ? meanY - perToken * meanX : (wy - perToken * wx) / w;
    return { rate: 1000 / perToken, fixedMs: Math.max(0, Math.min(rest, leastY)) };
  }
}

/** The most that a device is believed of itself where the speed of others like it is known. */
export function mostSaid(median: Speeds): Speeds {
  const times = (rate: number | undefined): number | undefined => (rate === undefined ? undefined : 4 * rate);
  const [prefillRate, decodeRate] = [times(median.prefillRate), times(median.decodeRate)];
  return {
    ...(prefillRate === undefined ? {} : { prefillRate }),
    ...(decodeRate === undefined ? {} : { decodeRate }),
  };
}

/** Relative spread of prompt lengths below which the fixed cost cannot be told from the rate. */
const leastSpread = 0.02;

/** However noisy the samples, reading takes this share of the time to the first token of long prompts at least. */
const leastShare = 0.2;

/** What is seen wins over a word that is not near it. */
function settled(own: number | undefined, said: number | undefined): number | undefined {
  if (own === undefined || said === undefined) return own ?? said;
  return said >= own / 2 && said <= own * 2 ? said : own;
}

function bounded(
  said: number | undefined,
  [least, most]: readonly [number, number],
  mostHere = Infinity,
): number | undefined {
  return said === undefined || !(said > 0) ? undefined : Math.min(mostHere, most, Math.max(least, said));
}
