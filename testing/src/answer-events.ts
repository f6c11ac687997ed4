import type { InferenceEvent } from '@lfo/router/src/core/events.ts';
import * as fc from 'fast-check';

/** Whole answers as backends give them: texts and thoughts cut anywhere, calls of these tools one in another, an end. */
export function eventSequence(tools: readonly string[]): fc.Arbitrary<readonly InferenceEvent[]> {
  const piece = fc.oneof(
    fc.record({
      type: fc.constant('text' as const),
      text: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }),
    }),
    fc.record({
      type: fc.constant('thought' as const),
      text: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 8 }),
    }),
  );
  const call = fc.record({
    name: fc.constantFrom(...tools),
    input: fc.dictionary(fc.string({ maxLength: 4 }), fc.jsonValue({ maxDepth: 2 }), { maxKeys: 3 }),
    cuts: fc.array(fc.nat({ max: 40 }), { maxLength: 3 }),
  });
  return fc
    .record({
      pieces: fc.array(piece, { maxLength: 6 }),
      calls: fc.array(call, { maxLength: 3 }),
      cut: fc.nat({ max: 5 }),
    })
    .map(({ pieces, calls, cut }) => {
      const said = pieces.flatMap(({ type, text }): InferenceEvent[] =>
        cutText(text, [cut]).map((part) => ({
          type: type === 'text' ? 'text-delta' : 'reasoning-delta',
          text: part,
        })),
      );
      const starts = calls.map(({ name }, index): InferenceEvent => ({
        type: 'tool-call-start',
        index,
        id: `call${index}`,
        name,
      }));
      const rest = calls.flatMap(({ input, cuts }, index): InferenceEvent[] => [
        ...cutText(JSON.stringify(input), cuts).map((json): InferenceEvent => ({
          type: 'tool-call-delta',
          index,
          json,
        })),
        { type: 'tool-call-end', index },
      ]);
      return [
        { type: 'start', model: 'tiny' },
        ...said,
        ...starts,
        ...rest,
        {
          type: 'finish',
          reason: calls.length > 0 ? 'tool_calls' : 'stop',
          usage: { promptTokens: 12, completionTokens: 3 },
        },
      ];
    });
}

/** The text in pieces, cut between any two UTF-16 units. */
function cutText(text: string, cuts: readonly number[]): readonly string[] {
  const places = [...new Set(cuts.map((at) => at % (text.length + 1)))].toSorted((a, b) => a - b);
  const pieces: string[] = [];
  let from = 0;
  for (const to of [...places, text.length]) {
    if (to > from) pieces.push(text.slice(from, to));
    from = to;
  }
  return pieces;
}
