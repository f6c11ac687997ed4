/** Bins a natural logarithm: seven a doubling, so that a bin's middle is within 5 % of whatever is in it. */
const binsPerLog = 7 / Math.LN2;

/**
 * Durations counted in geometric bins from 1 ms on, as the database fills them: no database needs to sort a million
 * rows for a percentile then.
 */
export class Histogram {
  /** By bin: a day is in bin 184. */
  readonly #counts: number[] = [];
  #total = 0;

  add(bin: number, count: number): void {
    while (this.#counts.length <= bin) this.#counts.push(0);
    this.#counts[bin] = (this.#counts[bin] ?? 0) + count;
    this.#total += count;
  }

  /** The duration below which a share of those counted lies, in milliseconds; `null` without any. */
  quantileMs(share: number): number | null {
    if (this.#total === 0) return null;
    let seen = 0;
    for (const [bin, count] of this.#counts.entries()) {
      seen += count;
      if (count > 0 && seen >= this.#total * share) return Math.exp((bin + 0.5) / binsPerLog);
    }
    return null;
  }
}
