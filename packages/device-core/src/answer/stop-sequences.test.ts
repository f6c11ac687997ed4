import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { StopScanner } from './stop-sequences.ts';

function scan(pieces: readonly string[], stops: readonly string[]): { shown: string[]; stopped: boolean } {
  const scanner = new StopScanner(stops);
  const shown: string[] = [];
  for (const piece of pieces) {
    const { text, stopped } = scanner.push(piece);
    shown.push(text);
    if (stopped) return { shown, stopped };
  }
  return { shown: [...shown, scanner.end()], stopped: false };
}

test('a stop text split over tokens never shows a part of itself', () => {
  assert.deepEqual(scan(['one ST', 'O', 'P two'], ['STOP']), { shown: ['one ', '', ''], stopped: true });
});

test('what only looked like a stop text is given back', () => {
  assert.deepEqual(scan(['a ST', 'ART'], ['STOP']), { shown: ['a ', 'START', ''], stopped: false });
});

test('an empty stop text stops nothing', () => {
  assert.deepEqual(scan(['a', 'b'], ['']), { shown: ['a', 'b', ''], stopped: false });
});

test('text is cut at the first stop text in any split', () => {
  const letters = fc.stringMatching(/^[ab]{0,12}$/);
  fc.assert(
    fc.property(
      fc.array(letters, { maxLength: 8 }),
      fc.array(fc.stringMatching(/^[ab]{1,4}$/), { maxLength: 3 }),
      (pieces, stops) => {
        const text = pieces.join('');
        const found = stops.map((stop) => text.indexOf(stop)).filter((index) => index >= 0);
        // In a split stream a longer stop text that begins earlier may be complete only after a shorter one was met.
        const earliest = Math.min(
          ...stops.map((stop) => text.indexOf(stop) + stop.length).filter((_, at) => text.includes(stops[at] ?? '')),
        );
        const result = scan(Array.from(text), stops);
        assert.equal(result.stopped, found.length > 0);
        if (!result.stopped) assert.equal(result.shown.join(''), text);
        else assert.ok(result.shown.join('').length < earliest && text.startsWith(result.shown.join('')));
        for (const stop of stops) assert.ok(!result.shown.join('').includes(stop));
      },
    ),
  );
});
