import type { Features } from './features.ts';
import type { RequestView } from './request-view.ts';

/** Surprise of the first tokens of a text. Both means never fall while tokens come, up to the horizon. */
export interface OpeningNats {
  /** Nats of the two least likely tokens, the less likely first. */
  readonly worst: readonly [number, number];
}

/** Tokens of a text that count. */
export const horizonTokens = 16;

/**
 * Features of a text written where tools could have been called: does any tool fit the request? Absent where question and
 * declarations differ in language; those of probability are absent without scores.
 */
export function textFeatures(view: RequestView, opening: OpeningNats | undefined, text: string): Features {
  const tools = [...view.tools.values()];
  const { question } = view;
  return {
    ...(opening !== undefined && { opening_nats: (opening.worst[0] + opening.worst[1]) / 2 }),
    looks_made: Number(/^\s*(?:```|[[{<])/.test(text)),
    ...(question.isComparable && {
      best_heaviest: Math.max(0, ...tools.map((tool) => tool.heaviest)),
      best_grams: Math.max(0, ...tools.map((tool) => tool.cosine)),
      best_tool_words: Math.max(
        0,
        ...tools.map((tool) => {
          const words = [...tool.stems];
          return words.length === 0 ? 0 : words.filter((word) => question.stems.has(word)).length / words.length;
        }),
      ),
    }),
  };
}
