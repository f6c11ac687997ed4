/** The value that so large a share (0..1) of the values does not exceed; `undefined` where there are none. */
export function percentile(values: readonly number[], share: number): number | undefined {
  return values.toSorted((a, b) => a - b)[Math.ceil(values.length * share) - 1];
}
