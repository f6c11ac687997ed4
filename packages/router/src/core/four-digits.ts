/** A score, probability or surprise to four decimal digits: more would pretend to a precision that no judge has. */
export function fourDigits(value: number): number {
  return Math.round(value * 1e4) / 1e4;
}
