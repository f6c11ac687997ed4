import assert from 'node:assert/strict';
import { test } from 'node:test';
import { longestCycle, LoopGuard, mostBlank, mostRepeated } from './loop-guard.ts';

/** After how many of these tokens the guard has had enough; undefined: it has not. */
function endOf(tokens: Iterable<string>, isForced = false): number | undefined {
  const guard = new LoopGuard(isForced);
  let count = 0;
  for (const token of tokens) {
    count++;
    if (guard.push(token)) return count;
  }
  return undefined;
}

function times(count: number, ...tokens: readonly string[]): readonly string[] {
  return Array.from({ length: count }, () => tokens).flat();
}

const beginning = ['The', ' answer', ' is', ':'];
const cycleOf = (length: number): readonly string[] => Array.from({ length }, (_, at) => ` w${at}`);

for (const length of [1, 2, 3, 7, longestCycle]) {
  test(`a cycle of ${length} tokens is a loop after ${mostRepeated} of them, and not before`, () => {
    const tokens = [...beginning, ...times(Math.ceil((2 * mostRepeated) / length), ...cycleOf(length))];
    assert.equal(endOf(tokens), beginning.length + mostRepeated);
  });
}

test('a break begins the count anew', () => {
  const almost = times(mostRepeated - 1, ' no');
  assert.equal(endOf([...almost, ' but', ...almost, ' and', ...almost]), undefined);
});

test('what is longer than a cycle, or counts, is no loop', () => {
  assert.equal(endOf(times(200, ...cycleOf(longestCycle + 1))), undefined);
  const list = Array.from({ length: 2_000 }, (_, at) => [`${at}`, '.', ' same', ' words', '\n']).flat();
  assert.equal(endOf(list), undefined);
});

const wanted: readonly [what: string, tokens: readonly string[]][] = [
  ['a line written a hundred times', times(100, 'I', ' will', ' not', ' talk', ' in', ' class', '.', '\n')],
  ['a matrix of 16 × 16 zeros', times(16, '[', ...times(16, '0', ',', ' '), ']', ',', '\n')],
  ['a table of equal rows', times(120, '|', ' yes', ' |', ' no', ' |', ' 0', ' |\n')],
  ['a ruler of 16,000 dashes', times(1_000, '----------------')],
  ['base64 of 6,000 zero bytes', times(1_000, 'AAAAAAAA')],
  ['indented code', times(150, '\n', '        ', 'x', ' =', ' 0')],
];

for (const [what, tokens] of wanted) {
  test(`${what} is not cut`, () => {
    assert.equal(endOf([...beginning, ...tokens]), undefined);
  });
}

test('nothing but white space is a loop soon, whatever its pattern, in a promised format too', () => {
  const blank = times(mostBlank, '\n', ' ', '\t\t', '');
  for (const isForced of [false, true]) assert.equal(endOf(['{', ...blank], isForced), 1 + mostBlank);
  assert.equal(endOf(['{', ...times(mostBlank - 1, ' '), '}', ...times(mostBlank - 1, '\n')], true), undefined);
});

test('a promised format may repeat itself otherwise for as long as its grammar lets it', () => {
  assert.equal(endOf(times(2 * mostRepeated, '0', ','), true), undefined);
});
