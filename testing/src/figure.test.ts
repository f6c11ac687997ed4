import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';

import { assertFigure, assertWithin, isKept, readFigure } from './figure.ts';

/** What is printed while the work fails or not. */
function printed(t: TestContext, work: () => void): { readonly lines: readonly string[]; readonly fails: boolean } {
  const lines: string[] = [];
  const diagnostic = t.mock.method(t, 'diagnostic', (line: string) => void lines.push(line));
  try {
    work();
    return { lines, fails: false };
  } catch {
    return { lines, fails: true };
  } finally {
    diagnostic.mock.restore();
  }
}

test('a figure is printed with its bound, and fails a test only at five times that', (t) => {
  for (const [ms, kept, fails] of [
    [100, true, false],
    [101, false, false],
    [500, false, false],
    [501, false, true],
  ] as const) {
    const seen = printed(t, () => assertWithin(t, 'end', ms, 100));
    assert.equal(seen.fails, fails, `${ms} ms`);
    const figure = readFigure(seen.lines[0] ?? '') ?? assert.fail('nothing was printed');
    assert.deepEqual(figure, { what: 'end', value: ms, unit: 'ms', bound: 100, is: 'most' });
    assert.equal(isKept(figure), kept, `${ms} ms`);
  }
});

test('a share that is to be large fails at a fifth of its bound; not a number fails always', (t) => {
  const goodput = (value: number) =>
    printed(t, () => assertFigure(t, { what: 'goodput', value, unit: '%', bound: 80, is: 'least' })).fails;
  assert.deepEqual([90, 70, 16, 15, Number.NaN].map(goodput), [false, false, false, true, true]);
  assert.equal(readFigure('some other line'), undefined);
});
