import { test, type TestContext } from 'node:test';

import { faultRows } from './rows.ts';

/** One behaviour under a fault: the row of `docs/reliability.md` it belongs to, and the bound it is held to. */
export interface FaultCase {
  readonly row: number;
  /** A sentence. */
  readonly what: string;
  /** Time, memory or count, as the table shows it. */
  readonly bound: string;
  /** Why it cannot run here; shown in the table. */
  readonly skip?: string | false | undefined;
  /** Default: a minute. */
  readonly timeoutMs?: number;
}

/** Declares a test whose outcome the table in `docs/reliability.md` shows. */
export function faultTest(
  { row, what, bound, skip, timeoutMs = 60_000 }: FaultCase,
  run: (t: TestContext) => Promise<void> | void,
): void {
  if (!faultRows.some((known) => known.row === row)) throw new Error(`There is no row ${row}.`);
  void test(faultTitle(row, what, bound), { timeout: timeoutMs, ...(skip !== undefined && { skip }) }, run);
}

/** How a test of the table is named; `readFaultTitle` reads it back. */
function faultTitle(row: number, what: string, bound: string): string {
  return `fault ${row}: ${what} [${bound}]`;
}

/** The parts of a title, or `undefined` for a test that belongs to no row. */
export function readFaultTitle(title: string): FaultCase | undefined {
  const [, row, what, bound] = /^fault (\d+): (.*) \[([^[]*)\]$/.exec(title) ?? [];
  return row === undefined || what === undefined || bound === undefined ? undefined : { row: Number(row), what, bound };
}
