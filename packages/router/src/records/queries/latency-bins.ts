/**
 * Durations as a histogram of geometric bins, since neither database needs to sort a million rows for a percentile
 * then: 7 bins a doubling, so that a bin's middle is within 5 % of whatever is in it.
 */
const binsADoubling = 7;

/** Multiplier of the natural logarithm, for the query; durations below 1 ms share the bin of 1 ms. */
export const binsPerLog = binsADoubling / Math.LN2;

export interface BinCount {
  readonly bin: number;
  readonly count: number;
}

/** The value below which a share of all counted durations lies, in milliseconds; `null` without any. */
export function quantile(bins: readonly BinCount[], share: number): number | null {
  const sorted = bins.toSorted((a, b) => a.bin - b.bin);
  const total = sorted.reduce((sum, { count }) => sum + count, 0);
  let seen = 0;
  for (const { bin, count } of sorted) {
    seen += count;
    if (seen >= total * share) return Math.exp((bin + 0.5) / binsPerLog);
  }
  return null;
}
