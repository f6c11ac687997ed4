import type { TokenScore } from '../../../core/events.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../../../core/json.ts';

/**
 * Reads `choices[].logprobs` of a chat, or in the older form of a completion; what is not a number is left out, since a
 * score is never made up.
 */
export function scoresOf(logprobs: JsonValue | undefined): TokenScore[] {
  if (!isJsonObject(logprobs)) return [];
  const { content } = logprobs;
  if (!Array.isArray(content)) return olderScoresOf(logprobs);
  return content.flatMap((entry: JsonValue) => {
    const score = scoreOf(entry);
    if (score === undefined || !isJsonObject(entry)) return [];
    const alternatives = entry['top_logprobs'];
    if (!Array.isArray(alternatives) || alternatives.length === 0) return [score];
    return [{ ...score, top: alternatives.flatMap((other: JsonValue) => scoreOf(other) ?? []) }];
  });
}

/** Lists side by side, one entry a token; the alternatives of each as an object. */
function olderScoresOf({ tokens, token_logprobs: own, top_logprobs: tops }: JsonObject): TokenScore[] {
  if (!Array.isArray(tokens) || !Array.isArray(own)) return [];
  return tokens.flatMap((token: JsonValue, i) => {
    const score = scoreOf({ token, logprob: own[i] ?? null });
    if (score === undefined) return [];
    const others = Array.isArray(tops) ? tops[i] : undefined;
    if (!isJsonObject(others)) return [score];
    const top = Object.entries(others).flatMap(([other, logprob]) => scoreOf({ token: other, logprob }) ?? []);
    return [{ ...score, top: top.toSorted((one, two) => two.logprob - one.logprob) }];
  });
}

function scoreOf(entry: JsonValue): TokenScore | undefined {
  if (!isJsonObject(entry)) return undefined;
  const { token, logprob } = entry;
  if (typeof token !== 'string' || typeof logprob !== 'number' || !Number.isFinite(logprob)) return undefined;
  return { token, logprob: Math.min(0, logprob) };
}
