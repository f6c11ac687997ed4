import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';

/** A measured number and the bound that LFO promises for it. */
export interface Figure {
  readonly what: string;
  readonly value: number;
  /** `ms`, `×`, `%`. */
  readonly unit: string;
  readonly bound: number;
  /** Whether the bound is the largest or the smallest value that is promised. */
  readonly is: 'most' | 'least';
}

/** What a test over sockets allows beside others: it is there to notice what hangs. */
const allowance = 5;

/**
 * Prints a figure and fails at five times its bound. The bound itself is judged by `npm run reliability`, on a machine
 * that does nothing else.
 */
export function assertFigure(t: TestContext, figure: Figure): void {
  const { what, value, unit, bound, is } = figure;
  t.diagnostic(`${mark}${JSON.stringify({ ...figure, value: rounded(value), bound: rounded(bound) })}`);
  const isNear = is === 'most' ? value <= allowance * bound : value >= bound / allowance;
  assert.ok(isNear, `${what}: ${value} ${unit}, and at ${is} ${bound} ${unit} is promised`);
}

/** The same for a time in milliseconds that is to be short. */
export function assertWithin(t: TestContext, what: string, ms: number, boundMs: number): void {
  assertFigure(t, { what, value: ms, unit: 'ms', bound: boundMs, is: 'most' });
}

/** A figure that a test has printed, or `undefined` for other diagnostics. */
export function readFigure(diagnostic: string): Figure | undefined {
  return diagnostic.startsWith(mark) ? JSON.parse(diagnostic.slice(mark.length)) : undefined;
}

/** Whether the bound itself is kept. */
export function isKept({ value, bound, is }: Figure): boolean {
  return is === 'most' ? value <= bound : value >= bound;
}

const mark = 'figure: ';

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
