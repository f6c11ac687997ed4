import { percentile } from '@lfo/testing/faults/percentile.ts';

/** The middle one; not a number where there are none. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** The value that so large a share (0..1) of the values does not exceed; not a number where there are none. */
export function quantile(values: readonly number[], share: number): number {
  return values.length === 0 ? Number.NaN : percentile(values, share);
}

/** Prints rows of the same columns as a table of Markdown. */
export function table(rows: readonly object[]): void {
  const head = Object.keys(rows[0] ?? {});
  console.log(`| ${head.join(' | ')} |\n|${head.map(() => '---').join('|')}|`);
  for (const row of rows) console.log(`| ${Object.values(row).join(' | ')} |`);
}
