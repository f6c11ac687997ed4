import assert from 'node:assert/strict';
import { test } from 'node:test';
import { change, changeOfShare, duration } from './format.ts';

test('a figure beside an earlier one is a percentage, a factor, or nothing where one of them is not known', () => {
  const seen = [
    [112, 100],
    [88, 100],
    [100, 100],
    [800, 100],
    [3, 0],
    [3, null],
    [null, 3],
    [3, undefined],
    // A share of nothing.
    [Number.NaN, 0.5],
  ] as const;
  assert.deepEqual(
    seen.map(([now, before]) => change(now, before)),
    ['+12 %', '−12 %', 'no change', '× 8', '', '', '', '', ''],
  );
});

test('a share beside an earlier one is told in points', () => {
  assert.deepEqual(
    [changeOfShare(0.53, 0.5), changeOfShare(0.4, 0.5), changeOfShare(0.5, 0.5), changeOfShare(null, 0.5)],
    ['+3 points', '−10 points', 'no change', ''],
  );
});

test('a time in minutes has no sixty seconds', () => {
  assert.deepEqual([duration(119_400), duration(119_600), duration(125_000)], ['1 min 59 s', '2 min 0 s', '2 min 5 s']);
});
