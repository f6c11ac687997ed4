/**
 * Durations as a histogram of geometric bins, since no database needs to sort a million rows for a percentile then:
 * 7 bins a doubling from 1 ms on, so that a bin's middle is within 5 % of whatever is in it. The database fills them.
 */
const binsPerLog = 7 / Math.LN2;

/** The duration in the middle of a bin, in milliseconds; `null` for none. */
export function binMiddleMs(bin: number | undefined): number | null {
  return bin === undefined ? null : Math.exp((bin + 0.5) / binsPerLog);
}
