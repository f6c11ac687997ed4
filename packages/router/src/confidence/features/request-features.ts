import type { Features } from './features.ts';
import type { RequestView } from './request-view.ts';
import { matchFeatures } from './text-features.ts';

/** What the request alone says of an answer to come: how well a tool fits, and whether several things are asked for. */
export function requestFeatures(view: RequestView): Features {
  const { question, tools } = view;
  if (!question.isComparable || tools.size === 0) return {};
  const clauses = question.sentences.reduce((sum, sentence) => sum + sentence.clauses.length, 0);
  return { ...matchFeatures(view), asks_several: Number(clauses > 1 && joins.test(question.text)) };
}

const joins = /\b(?:and|also|then|as well as)\b/i;
