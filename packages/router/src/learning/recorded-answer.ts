import type { CallFeatures } from '../confidence/features/call-features.ts';
import type { Features } from '../confidence/features/features.ts';
import { type Heads, scoreCalls, scoreText } from '../confidence/heads/score.ts';
import type { JsonObject } from '../core/json.ts';

/** The features of one judged answer, read back from its record. */
export type RecordedAnswer =
  | { readonly kind: 'calls'; readonly features: CallFeatures }
  /** `hasTools`: one could have been called. */
  | { readonly kind: 'text'; readonly features: Features; readonly hasTools: boolean };

/** Undefined for an answer that no head scored: a structural fault, or no evidence. */
export function recordedAnswer(features: JsonObject, heads: JsonObject): RecordedAnswer | undefined {
  if (typeof heads['values'] === 'number') {
    const answer = numbersOf(features);
    const lists = Object.entries(features).filter(([name, value]) => Array.isArray(value) && name !== openingList);
    const count = Math.max(0, ...lists.map(([, list]) => (Array.isArray(list) ? list.length : 0)));
    const values = Array.from({ length: count }, (_, index) =>
      Object.fromEntries(
        lists.flatMap(([name, list]) => {
          const value = Array.isArray(list) ? list[index] : undefined;
          return typeof value === 'number' ? [[name, value] as const] : [];
        }),
      ),
    );
    return { kind: 'calls', features: { answer, values } };
  }
  if (typeof heads['text_score'] !== 'number') return undefined;
  return { kind: 'text', features: numbersOf(features), hasTools: 'best_heaviest' in features };
}

/** What these heads say of it; undefined where none applies. */
export function scoreRecorded(heads: Heads, answer: RecordedAnswer): number | undefined {
  return answer.kind === 'calls'
    ? scoreCalls(heads, answer.features)?.score
    : scoreText(heads, answer.features, answer.hasTools);
}

function numbersOf(values: JsonObject): Features {
  return Object.fromEntries(
    Object.entries(values).flatMap(([name, value]) => (typeof value === 'number' ? [[name, value] as const] : [])),
  );
}

const openingList = 'opening_worst_nats';
