import type { Features } from './features.ts';
import type { RequestView } from './request-view.ts';

/** Surprise of the first tokens of a text. Their mean never falls while tokens come, up to the horizon. */
export interface OpeningNats {
  /** Nats of the two least likely tokens, the less likely first. */
  readonly worst: readonly [number, number];
}

/** Tokens of a text that count. */
export const horizonTokens = 16;

/** Features of a text's first tokens; none without scores. */
export function openingFeatures(opening: OpeningNats | undefined): Features {
  return opening === undefined ? {} : { opening_nats: (opening.worst[0] + opening.worst[1]) / 2 };
}

/** How well the best tool fits the request, by words alone; none where question and declarations differ in language. */
export function matchFeatures({ question, tools }: RequestView): Features {
  if (!question.isComparable) return {};
  const all = [...tools.values()];
  return {
    best_heaviest: Math.max(0, ...all.map((tool) => tool.heaviest)),
    best_grams: Math.max(0, ...all.map((tool) => tool.cosine)),
    best_tool_words: Math.max(
      0,
      ...all.map(({ stems }) => [...stems].filter((word) => question.stems.has(word)).length / Math.max(stems.size, 1)),
    ),
  };
}
